"""Makes a database as new: the embedded one by making it again, a remote one by removing what our migrations made."""

from collections.abc import Callable
from contextlib import ExitStack

import psycopg
from psycopg import sql

from coach_os.errors import Refusal
from coach_os.settings import Settings
from coach_os.stack.data_api import reload_data_api
from coach_os.stack.errors import StackError
from coach_os.stack.migrations import describe_error, migrate
from coach_os.stack.platform import apply_platform, platform_digest
from coach_os.stack.postgres import SUPERUSER
from coach_os.stack.processes import is_alive
from coach_os.stack.state import locked, read_state, write_state
from coach_os.stack.supervisor import DATA_API, postgres_server
from coach_os.stack.tools import database_host

Say = Callable[[str], None]

WAIT_FOR_A_TABLE = "10s"

# What the owner made in `public`; the schema itself stays, the platform has granted on it.
_OWN_OBJECTS = """
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
       format('%I.%I', n.nspname, c.relname)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relowner = current_user::regrole
   and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype in ('e', 'a', 'i'))
union all
select 'routine', p.oid::regprocedure::text
  from pg_proc as p
 where p.pronamespace = 'public'::regnamespace and p.proowner = current_user::regrole
   and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
union all
select 'type', format('%I.%I', n.nspname, t.typname)
  from pg_type as t
  join pg_namespace as n on n.oid = t.typnamespace
 where n.nspname = 'public' and t.typtype in ('e', 'd', 'r') and t.typowner = current_user::regrole
   and not exists (select from pg_depend as d where d.objid = t.oid and d.deptype in ('e', 'i'))
"""


def reset_embedded(settings: Settings, say: Say = lambda text: None) -> list[str]:
    """Make the embedded database again and migrate it, accounts included; returns the migrations applied.

    Also where `coach up` refuses the database as it is: the server is started for this, and stopped again.

    Raises:
        StackError: there is no local stack, or its server does not start.
        MigrationError: a migration failed.
    """
    home = settings.stack_home
    with locked(home), ExitStack() as undo:
        state = read_state(home)
        if state is None:
            raise StackError("There is no local stack here.", "Start one with `coach up`.")
        server = postgres_server(state, home)
        if not server.is_running():
            say("starting PostgreSQL")
            server.start()
            undo.callback(server.stop)
        say("making the database again")
        with psycopg.connect(server.socket_url("template1"), autocommit=True) as connection:
            connection.execute("drop database if exists postgres with (force)")
            connection.execute("create database postgres template template0")
        passwords = {SUPERUSER: state.admin_password, "postgres": state.owner_password}
        apply_platform(server.socket_url(), passwords={**passwords, "data_api": state.data_api_password})
        state.platform = platform_digest()
        write_state(home, state)
        applied = migrate(state.database_url)
        if is_alive(state.processes.get(DATA_API)):
            reload_data_api(state)
        return applied


def reset_remote(url: str, host: str | None, say: Say = lambda text: None) -> list[str]:
    """Remove what the migrations made, data included, and migrate again; people who can sign in stay.

    Args:
        host: must name the database's own host, so that a variable left over in a shell resets nothing.

    Raises:
        Refusal: the host was not named, or something of another owner is in the way; nothing was removed.
    """
    actual = database_host(url)
    if host != actual:
        raise Refusal(
            409,
            "reset_not_confirmed",
            f"DATABASE_URL names a database on {actual or 'a local socket'}.",
            f"To lose all its data, name it: --remote-host {actual}." if actual else "Reset it by hand.",
        )
    say(f"removing everything from the database on {actual}")
    try:
        with psycopg.connect(url, prepare_threshold=None) as connection:
            connection.execute(f"set local lock_timeout = '{WAIT_FOR_A_TABLE}'".encode())
            connection.execute("drop schema if exists private, service, supabase_migrations cascade")
            for kind, name in connection.execute(_OWN_OBJECTS).fetchall():
                connection.execute(sql.SQL(f"drop {kind} if exists {name} cascade"))
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise
        raise _in_the_way(error) from None
    except psycopg.Error as error:
        raise _in_the_way(error) from None
    return migrate(url)


def _in_the_way(error: psycopg.Error) -> Refusal:
    return Refusal(
        409,
        "reset_blocked",
        f"Nothing was removed: {describe_error(error)}.",
        "End what uses the database, then retry.",
    )
