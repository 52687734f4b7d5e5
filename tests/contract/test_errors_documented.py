"""docs/errors.md lists every reason a rule of the database refuses with, under its status, and no other."""

import re
from pathlib import Path

from tests.harness.database import Database

REPOSITORY = Path(__file__).parents[2]
ERRORS = REPOSITORY / "docs" / "errors.md"
PYTHON = [REPOSITORY / "supabase" / "functions_py", REPOSITORY / "cli"]

# private.fail(409, 'package_exhausted', …), or private.refusal where it is returned: literals, to be found.
CALL = re.compile(
    r"private\.(?:fail|refusal)\(\s*(?:p_status\s*=>\s*)?([^,]+?)\s*,\s*(?:p_slug\s*=>\s*)?([^,)]+?)\s*[,)]"
)
SECTION = re.compile(r"^## (\d{3})\b", re.MULTILINE)
ROW = re.compile(r"^\| `([a-z0-9_]+)`", re.MULTILINE)
PROMISE = re.compile(r"\b([a-z]+(?:_[a-z]+)+) (4\d\d)\b")

BODIES = """
select coalesce(p.prosrc, '') || coalesce(pg_get_function_sqlbody(p.oid), '')
  from pg_proc as p
 where p.pronamespace = any ('{public,private,service}'::regnamespace[]) and p.proname not in ('fail', 'refusal')
"""
# A trigger function may take its slug as the last argument of the trigger.
ARGUMENTS = """
select encode(t.tgargs, 'escape') from pg_trigger as t join pg_proc as p on p.oid = t.tgfoid
 where not t.tgisinternal and p.prosrc ~ 'private\\.fail\\(\\s*\\d+,\\s*tg_argv'
"""
COMMENTS = """
select p.oid::regprocedure::text as function, obj_description(p.oid, 'pg_proc') as comment from pg_proc as p
 where p.pronamespace = any ('{public,private,service}'::regnamespace[])
   and obj_description(p.oid, 'pg_proc') is not null
"""


def raised(db: Database) -> set[tuple[str, str]]:
    """(status, slug) of every refusal in the database's functions."""
    found: set[tuple[str, str]] = set()
    for body in db.owner.values(BODIES):
        for status, slug in CALL.findall(body):
            if slug.startswith("tg_argv"):
                arguments = [text.split("\\000") for text in db.owner.values(ARGUMENTS)]
                found |= {(status, parts[-2]) for parts in arguments}
            else:
                assert re.fullmatch(r"'[a-z0-9_]+'(::text)?", slug), f"private.fail with a computed slug: {slug}"
                found.add((status, slug.split("'")[1]))
    return found


def documented() -> set[tuple[str, str]]:
    """(status, slug) of every row of docs/errors.md."""
    parts = SECTION.split(ERRORS.read_text(encoding="utf-8"))
    return {(status, slug) for status, text in zip(parts[1::2], parts[2::2], strict=True) for slug in ROW.findall(text)}


def python_slugs() -> set[str]:
    """Slugs that the service and the command raise themselves."""
    source = "\n".join(path.read_text(encoding="utf-8") for root in PYTHON for path in root.rglob("*.py"))
    return set(re.findall(r"[\"']([a-z]+(?:_[a-z]+)+)[\"']", source))


def test_every_refusal_is_documented(db: Database) -> None:
    assert raised(db) - documented() == set()


def test_every_documented_refusal_exists(db: Database) -> None:
    known = raised(db)
    assert {row for row in documented() - known if row[1] not in python_slugs()} == set()


def test_a_functions_comment_promises_only_what_exists(db: Database) -> None:
    known = raised(db)
    promised = {
        (row["function"], slug, status)
        for row in db.owner.rows(COMMENTS)
        for slug, status in PROMISE.findall(row["comment"])
    }
    assert promised, "no comment says how its function fails"
    assert {promise for promise in promised if (promise[2], promise[1]) not in known} == set()


def test_a_refusal_that_is_not_documented_is_noticed(db: Database) -> None:
    known = raised(db)
    db.owner.rows(
        """
        create function private.refuse_oddly() returns void language plpgsql as $$
        begin
          perform private.fail(
            409, 'oddly_undocumented', 'No.');
        end $$
        """
    )
    assert raised(db) - known - documented() == {("409", "oddly_undocumented")}


def test_a_slug_that_a_trigger_names_is_found(db: Database) -> None:
    known = raised(db)
    db.owner.rows(
        """
        create trigger clients__keep before delete on public.clients
          for each row execute function private.tg__refuse_delete_in_use('bookings', 'client_id', 'client_oddly_used')
        """
    )
    assert raised(db) - known == {("409", "client_oddly_used")}
