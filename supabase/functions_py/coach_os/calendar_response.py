"""How a calendar file leaves: its type, and an ETag so that a calendar which asks every hour is told "unchanged"."""

from __future__ import annotations

import hashlib

from starlette.responses import Response


def calendar_response(
    body: bytes, *, method: str, filename: str, cache_control: str, if_none_match: str | None
) -> Response:
    """200 with the file, or 304 where the caller has it already."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": cache_control}
    if if_none_match and _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    headers["content-disposition"] = f'attachment; filename="{filename}"'
    return Response(body, headers=headers, media_type=f"text/calendar; charset=utf-8; method={method}")


def _matches(if_none_match: str, etag: str) -> bool:
    # A proxy that compresses weakens the tag.
    given = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in given or "*" in given
