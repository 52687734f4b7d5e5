"""Whose request it is: the peer, or what a proxy of ours says, never what a caller chose to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from coach_os.callers import caller_address, plain_address

PEER = "198.51.100.9"


def request(*forwarded: str, peer: str | None = PEER) -> Request:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    client = (peer, 4711) if peer is not None else None
    return Request({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, ["203.0.113.7"], PEER),
        (1, [], PEER),
        (1, ["203.0.113.7"], "203.0.113.7"),
        (1, ["9.9.9.9, 203.0.113.7"], "203.0.113.7"),
        (1, ["9.9.9.9", "203.0.113.7"], "203.0.113.7"),
        (2, ["9.9.9.9, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
        (3, ["203.0.113.7, 10.0.0.1"], PEER),
        (1, ["unknown"], PEER),
        (1, ["2001:DB8:0::1"], "2001:db8::1"),
    ],
)
def test_only_what_our_own_proxies_wrote_counts(proxies: int, forwarded: list[str], address: str) -> None:
    assert caller_address(request(*forwarded), proxies) == address


def test_nobody_is_no_address() -> None:
    assert caller_address(request(peer=None), 0) == ""
    assert caller_address(request(peer="testclient"), 0) == ""


@given(st.text(st.characters(max_codepoint=255, exclude_characters=","), max_size=40))
def test_whatever_a_caller_writes_before_our_proxys_entry_changes_nothing(written: str) -> None:
    assert caller_address(request(f"{written}, 203.0.113.7"), 1) == "203.0.113.7"
    assert caller_address(request(written), 0) == PEER


@given(st.text(max_size=60))
def test_an_address_is_one_or_nothing(text: str) -> None:
    plain = plain_address(text)
    assert plain == "" or plain_address(plain) == plain


@given(st.ip_addresses())
def test_an_address_has_one_spelling(address: object) -> None:
    assert plain_address(f" {address} ") == plain_address(str(address).upper()) != ""
