"""`GET /api/receipts/{receipt_id}`: a receipt as a page, for whoever was sent its address."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import HTMLResponse

from coach_os.database import Database
from coach_os.receipts import receipt_page

#: The page holds a name and amounts: nobody between keeps it, nothing on it runs, and its address is not passed on.
_HEADERS = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


async def run(database: Database, caller: str, receipt_id: UUID) -> HTMLResponse:
    """Raises: Refusal receipt_not_found 404, rate_limited 429."""
    receipt = await database.rpc("public.show_receipt", caller=caller, p_receipt_id=receipt_id)
    return HTMLResponse(receipt_page(receipt), headers=_HEADERS)
