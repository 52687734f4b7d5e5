"""A receipt as an HTML page of its own: printable, without a script, an image or anything to fetch."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 2rem auto; padding: 0 1rem; color: #111 }}
table {{ width: 100%; border-collapse: collapse }}
th {{ text-align: left; font-weight: normal; color: #555; padding: .4rem 1rem .4rem 0; vertical-align: top }}
td {{ text-align: right; padding: .4rem 0 }}
tr.total > * {{ border-top: 1px solid #111; font-weight: bold; color: #111 }}
</style>
<h1>{heading}</h1>
<p>{issuer}</p>
<table>
{rows}
</table>
</html>
"""


def receipt_page(receipt: Mapping[str, Any]) -> str:
    """The page of a receipt as the database answers it (`issue_receipt`); whatever it holds is shown as text.

    >>> "<script>" in receipt_page({"number": 1, "kind": "payment", "issuer_name": "<script>", "description": "",
    ...     "amount": "AUD 1.00", "paid_on": "2026-11-29"})
    False
    """
    is_refund = receipt["kind"] == "refund"
    heading = f"{'Refund receipt' if is_refund else 'Receipt'} {receipt['number']}"
    lines = [
        ("Date", receipt["paid_on"], ""),
        ("For", receipt.get("client_name"), ""),
        ("Refund of" if is_refund else "What", receipt["description"], ""),
        ("Refunds receipt", receipt.get("refunds_number"), ""),
        ("Paid by", receipt.get("method"), ""),
        ("Total refunded" if is_refund else "Total paid", receipt["amount"], "total"),
        ("Includes GST of", receipt.get("tax"), ""),
    ]
    rows = "\n".join(
        f'<tr class="{kind}"><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value, kind in lines
        if value is not None
    )
    issuer = escape(receipt["issuer_name"])
    return _PAGE.format(title=f"{heading}, {issuer}", heading=heading, issuer=issuer, rows=rows)
