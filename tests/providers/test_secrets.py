"""Stored secrets: readable with a key, by none without, and through a key's replacement."""

import pytest
from cryptography.fernet import Fernet

from coach_os.errors import Fault
from coach_os.providers.secrets import Keyring

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def test_a_secret_comes_back_and_looks_different_each_time() -> None:
    keyring = Keyring(OLD)
    first, second = keyring.encrypt("tökén"), keyring.encrypt("tökén")
    assert first != second
    assert "tökén" not in first
    assert keyring.decrypt(first) == keyring.decrypt(second) == "tökén"


def test_a_new_key_in_front_reads_what_the_old_one_wrote() -> None:
    written = Keyring(OLD).encrypt("token")
    both = Keyring(f" {NEW} , {OLD},")
    assert both.decrypt(written) == "token"
    assert Keyring(NEW).decrypt(both.encrypt("token")) == "token"


@pytest.mark.parametrize(
    ("keys", "slug"),
    [
        (None, "encryption_key_missing"),
        ("", "encryption_key_missing"),
        (" , ", "encryption_key_missing"),
        ("short", "encryption_key_invalid"),
        (f"{NEW},short", "encryption_key_invalid"),
        (NEW, "secret_undecryptable"),
    ],
    ids=["unset", "empty", "blank", "short", "one-short", "another"],
)
def test_without_its_key_a_secret_stays_one(keys: str | None, slug: str) -> None:
    written = Keyring(OLD).encrypt("token")
    with pytest.raises(Fault) as caught:
        Keyring(keys).decrypt(written)
    assert caught.value.slug == slug
    assert "token" not in f"{caught.value} {caught.value.hint}".replace("tokens", "")


@pytest.mark.parametrize("damaged", ["", "x", "gAAAA", "\u00fc"])
def test_what_nobody_encrypted_is_refused(damaged: str) -> None:
    with pytest.raises(Fault) as caught:
        Keyring(OLD).decrypt(damaged)
    assert caught.value.slug == "secret_undecryptable"
