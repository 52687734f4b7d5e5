"""Whose request it is: the address that rate limits count by, as far as the deployment lets it be believed."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from starlette.requests import Request


def caller_address(request: Request, trusted_proxies: int) -> str:
    """The caller's address; empty where there is none.

    A caller writes what they like into X-Forwarded-For; each proxy appends whom it was called by. So with `n` proxies
    of ours before the service the n-th entry from the end was written by our outermost one; nothing before it counts.
    """
    peer = request.client.host if request.client else ""
    entries = [entry for line in request.headers.getlist("x-forwarded-for") for entry in line.split(",")]
    if trusted_proxies and len(entries) >= trusted_proxies:
        return plain_address(entries[-trusted_proxies]) or plain_address(peer)
    return plain_address(peer)


def plain_address(text: str) -> str:
    """One spelling of an address, without port, brackets or zone; empty for what is none.

    >>> plain_address(" [2001:DB8::1]:443"), plain_address("203.0.113.7:5000"), plain_address("::ffff:203.0.113.7")
    ('2001:db8::1', '203.0.113.7', '203.0.113.7')
    >>> plain_address("unknown")
    ''
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
