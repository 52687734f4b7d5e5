"""Supabase Storage as the database sees it: what its server asks under the caller's role before it moves a byte."""

from pathlib import Path

import psycopg

from tests.harness.database import Caller

SCHEMA = Path(__file__).with_suffix(".sql")
BUCKET = "progress-photos"


class Storage:
    """One caller's bucket. Each method makes the statement that Storage's server makes for the call of that name."""

    def __init__(self, caller: Caller, bucket: str = BUCKET) -> None:
        self.caller = caller
        self.bucket = bucket

    def upload(self, path: str, *, upsert: bool = False) -> bool:
        """Whether the picture may be stored there."""
        replace = "do update set updated_at = now(), owner = excluded.owner" if upsert else "do nothing"
        try:
            rows = self.caller.rows(
                "insert into storage.objects (bucket_id, name, owner) values (%s, %s, auth.uid())"
                f" on conflict (bucket_id, name) {replace} returning id",
                (self.bucket, path),
            )
        except psycopg.errors.InsufficientPrivilege:
            return False
        return bool(rows)

    def create_signed_url(self, path: str) -> bool:
        """Whether the caller sees the picture: what a signed URL is given for."""
        query = "select id from storage.objects where bucket_id = %s and name = %s"
        return bool(self.caller.rows(query, (self.bucket, path)))

    def list(self) -> list[str]:
        """The paths the caller sees."""
        query = "select name from storage.objects where bucket_id = %s order by name"
        return [str(name) for name in self.caller.values(query, (self.bucket,))]

    def remove(self, path: str) -> bool:
        """Whether the picture was deleted."""
        query = "delete from storage.objects where bucket_id = %s and name = %s returning id"
        return bool(self.caller.rows(query, (self.bucket, path)))
