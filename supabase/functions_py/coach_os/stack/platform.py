"""The platform shim: makes a plain PostgreSQL look as hosted Supabase does before its first migration.

Roles belong to the cluster and schemas to a database: a template prepared once can be cloned without coming here again
(`create database … template … owner postgres`).
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

import psycopg
from psycopg import sql

from coach_os.stack.errors import ForeignPlatform, StackError

MARK = "coach-os platform"
"""How the comments on what we made begin; an `auth` without it is somebody else's."""

SCRIPTS = ("platform_roles.sql", "platform.sql", "platform_auth.sql")

LOGINS = ("postgres", "authenticator", "data_api")

_FOUND = """
select current_setting('is_superuser')::boolean and current_user <> 'postgres',
       (select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = 'auth'),
       exists (select from pg_namespace where nspname = 'auth'),
       (select shobj_description(oid, 'pg_authid') from pg_authid where rolname = 'supabase_auth_admin'),
       exists (select from pg_authid where rolname = 'supabase_auth_admin')
"""

_OPEN_DEFAULTS = """
alter default privileges for role postgres in schema public {} all on tables {} anon, authenticated, service_role;
alter default privileges for role postgres in schema public {} all on functions {} anon, authenticated, service_role;
alter default privileges for role postgres in schema public {} all on sequences {} anon, authenticated, service_role;
"""


def apply_platform(admin_url: str, *, open_defaults: bool = False, passwords: Mapping[str, str] | None = None) -> None:
    """Prepare the cluster's roles and one database for our migrations; a second call changes nothing.

    Args:
        admin_url: a superuser other than `postgres`, on the database to prepare.
        open_defaults: grant the API roles everything that `postgres` makes in `public`, as older hosted projects do
            (new ones grant nothing). Our migrations must come out the same under both.
        passwords: for the login roles (`LOGINS`); a role that is missing here keeps what it has.

    Raises:
        ForeignPlatform: the database or its cluster has a real `auth`; nothing was touched.
        StackError: the server is unreachable, or the login is no such superuser.
    """
    try:
        with psycopg.connect(admin_url, connect_timeout=10) as connection:
            _refuse_foreign(connection)
            # Quiet: `if not exists` speaks up each time otherwise.
            connection.execute("set local client_min_messages = error")
            connection.execute(_script("platform_roles.sql"))
            for role, password in (passwords or {}).items():
                _set_password(connection, role, password)
            connection.execute(_script("platform.sql"))
            connection.execute("set local role supabase_auth_admin")
            connection.execute(_script("platform_auth.sql"))
            connection.execute("reset role")
            verbs = ("grant", "to") if open_defaults else ("revoke", "from")
            connection.execute(_OPEN_DEFAULTS.format(*verbs * 3).encode())
    except psycopg.OperationalError as error:
        raise StackError(f"The database cannot be reached: {str(error).strip()}") from error


def platform_digest() -> str:
    """What identifies this version of the shim: a database prepared by the same needs no second visit."""
    return hashlib.sha256(b"".join(map(_script, SCRIPTS))).hexdigest()


def _refuse_foreign(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    row = connection.execute("select current_setting('is_superuser')::boolean").fetchone()
    if row is None or not row[0]:
        raise StackError("The platform needs a superuser; hosted Supabase has the platform already.")
    found = connection.execute(_FOUND).fetchone()
    assert found is not None
    fit, auth_comment, has_auth, role_comment, has_role = found
    if (has_auth and not str(auth_comment).startswith(MARK)) or (has_role and not str(role_comment).startswith(MARK)):
        raise ForeignPlatform(
            "This database already has an auth that is not ours: nothing was touched.",
            "Set DATABASE_URL to use it as it is.",
        )
    if not fit:
        raise StackError(
            "The platform cannot be made as the role postgres, which must not stay a superuser.",
            "Connect as another superuser, such as supabase_admin.",
        )


def _set_password(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    # Hashed here: the clear text never reaches the server, nor its log.
    secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(secret))
    connection.execute(statement)


def _script(name: str) -> bytes:
    return files("coach_os.stack").joinpath(name).read_bytes()
