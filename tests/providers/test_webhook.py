"""A webhook's post: signed so that anybody's library verifies it, and only ever sent to the world."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.harness.fake_receiver import FakeReceiver

from coach_os.providers import webhook
from coach_os.providers.secrets import Keyring
from coach_os.providers.webhook import Posted, WebhookPoster, new_secret, signature

KEYRING = Keyring(Fernet.generate_key().decode())
SECRET = new_secret()
PAYLOAD = {"type": "automation.fired", "data": {"client_id": "7"}}


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as server:
        yield server


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server with a certificate for hooks.example, and who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(encoding))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with FakeReceiver(served) as server:
        yield server.port, ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))


def post(url: str, keyring: Keyring = KEYRING, *, allows_private: bool = True, timeout: float = 10) -> Posted:
    row = {"id": str(uuid4()), "url": url, "secret_encrypted": KEYRING.encrypt(SECRET), "payload": PAYLOAD}

    async def once() -> Posted:
        async with WebhookPoster(keyring, allows_private=allows_private, timeout=timeout) as poster:
            return await poster.post(row)

    return asyncio.run(once())


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name leads there."""

    async def found(_: Any) -> list[webhook.Address]:
        return [webhook.ipaddress.ip_address(address) for address in addresses]

    monkeypatch.setattr(webhook, "_addresses", found)


def test_a_post_is_verified_by_the_standards_own_library(receiver: FakeReceiver) -> None:
    assert post(receiver.url + "?tenant=1") == Posted("ok", 204)
    (got,) = receiver.received
    assert got.path == "/hook?tenant=1"
    assert Webhook(SECRET).verify(got.body.decode(), got.headers) == PAYLOAD
    assert json.loads(got.body) == PAYLOAD
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.decode() + " ", got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(got.body.decode(), got.headers)
    old = str(int(time.time()) - 600)
    resigned = signature(SECRET, got.headers["webhook-id"], int(old), got.body)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(
            got.body.decode(), got.headers | {"webhook-timestamp": old, "webhook-signature": resigned}
        )


@pytest.mark.parametrize(
    ("status", "is_away"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False), (301, False)],
)
def test_what_is_not_taken_is_tried_again(receiver: FakeReceiver, status: int, is_away: bool) -> None:
    receiver.then(status, retry_after="120", location=receiver.url)
    assert post(receiver.url) == Posted("retry", status, f"http_{status}", is_away=is_away, retry_after_secs=120)
    assert len(receiver.received) == 1, "no redirect is followed"


def test_who_does_not_answer_is_away(receiver: FakeReceiver) -> None:
    receiver.then(204, wait=2)
    assert post(receiver.url, timeout=0.3) == Posted("retry", error_code="timed_out", is_away=True)
    assert post("http://127.0.0.1:9/") == Posted("retry", error_code="connection_failed", is_away=True)
    assert post("http://nobody.invalid/") == Posted("retry", error_code="name_unresolved", is_away=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_no_name_leads_inside(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolves(monkeypatch, address)
    assert post("https://hooks.example/", allows_private=False) == Posted("failed", error_code="address_not_allowed")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"])
def test_no_address_leads_inside_however_it_is_written(receiver: FakeReceiver, host: str) -> None:
    posted = post(f"https://{host}:{receiver.port}/", allows_private=False)
    assert posted.outcome != "ok"
    assert posted.error_code in ("address_not_allowed", "name_unresolved")
    assert receiver.received == []


def test_a_post_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch, receiver: FakeReceiver) -> None:
    """A name that leads elsewhere the second time it is looked up leads nowhere: it is looked up once."""
    resolves(monkeypatch, "127.0.0.1")
    assert post(f"http://rebinding.example:{receiver.port}/hook") == Posted("ok", 204)
    assert receiver.received[0].headers["host"] == f"rebinding.example:{receiver.port}"


def test_without_tls_nothing_leaves(receiver: FakeReceiver) -> None:
    assert post("http://hooks.example/", allows_private=False) == Posted("failed", error_code="url_not_https")


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, receiver: FakeReceiver) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert post(receiver.url) == Posted("ok", 204)


def test_a_secret_that_cannot_be_read_waits_for_its_key(receiver: FakeReceiver) -> None:
    posted = post(receiver.url, Keyring(Fernet.generate_key().decode()))
    assert posted == Posted("retry", error_code="secret_undecryptable", is_away=True)
    assert receiver.received == []


def test_tls_asks_for_the_name_not_the_address(
    monkeypatch: pytest.MonkeyPatch, tls_receiver: tuple[int, ssl.SSLContext]
) -> None:
    """The certificate must be the name's, although the connection goes to an address."""
    port, trust = tls_receiver
    resolves(monkeypatch, "127.0.0.1")

    async def once(host: str) -> Posted:
        row = {
            "id": "1",
            "url": f"https://{host}:{port}/",
            "secret_encrypted": KEYRING.encrypt(SECRET),
            "payload": PAYLOAD,
        }
        async with WebhookPoster(KEYRING, allows_private=True, tls=trust) as poster:
            return await poster.post(row)

    assert asyncio.run(once("hooks.example")) == Posted("ok", 204)
    assert asyncio.run(once("other.example")) == Posted("retry", error_code="connection_failed", is_away=True)
