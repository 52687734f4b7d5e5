"""Secrets that the database keeps for an organisation, readable only with a key that it never sees.

COACH_ENCRYPTION_KEY holds Fernet keys, separated by commas: the first encrypts, each decrypts, so that a key is rotated
by putting a new one in front. This makes one:

    python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from coach_os.errors import Fault


class Keyring:
    """The keys of this process; without any it refuses, with a sentence, only when a secret is needed."""

    def __init__(self, keys: str | None) -> None:
        self._keys = keys

    def encrypt(self, secret: str) -> str:
        """The secret as the database may keep it; another text each time.

        Raises:
            Fault: no key is set, or it is none.
        """
        return self._fernet().encrypt(secret.encode()).decode("ascii")

    def decrypt(self, encrypted: str) -> str:
        """The secret again.

        Raises:
            Fault: no key is set, or none of them made this text.
        """
        fernet = self._fernet()
        try:
            return fernet.decrypt(encrypted.encode()).decode()
        except (InvalidToken, UnicodeError):
            raise Fault(
                "secret_undecryptable",
                "A stored secret cannot be read with the keys that are set.",
                "Put the key that made it back into COACH_ENCRYPTION_KEY, or connect the account again.",
            ) from None

    def _fernet(self) -> MultiFernet:
        names = [part.strip() for part in (self._keys or "").split(",") if part.strip()]
        if not names:
            raise Fault(
                "encryption_key_missing",
                "A stored secret is needed, and no key to read it with is set.",
                "Set COACH_ENCRYPTION_KEY.",
            )
        try:
            return MultiFernet([Fernet(name) for name in names])
        except ValueError:
            raise Fault(
                "encryption_key_invalid",
                "COACH_ENCRYPTION_KEY holds something that is no key.",
                "Each key is 32 bytes in URL-safe base64, separated by commas.",
            ) from None
