"""A small world for the replay: one organisation with a row in each table the apps use, and the people who call."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb
from tests.clients.stack import Person, Stack
from tests.contract.replay.calls import Call
from tests.contract.replay.catalogue import Catalogue, Column
from tests.contract.replay.values import is_set_by_contract, plausible
from tests.harness.database import Caller
from tests.harness.storage import SCHEMA as STORAGE

from coach_os.stack.schemas import schemas_directory
from coach_os.stack.statements import split_statements

Row = dict[str, Any]

#: The table that a view's rows lie in.
BASES = {"sms_attempts": "outbox_attempts", "sms_events": "outbox_events", "sms_messages": "outbox_messages"}

#: The table that a summary is made of.
SUMMED = {"finance_monthly": "money_events", "org_earnings": "money_events"}

#: A client has one of these, made by whichever call came first.
ONE_EACH = {"message_threads", "push_tokens", "subscriptions"}


class World:
    """Rows are made by the owner when a call first needs them; people sign up by themselves."""

    def __init__(self, stack: Stack, calls: Iterable[Call]) -> None:
        self.stack = stack
        self.catalogue = Catalogue(stack.owner)
        self.coach, self.client = stack.sign_up("coach"), stack.sign_up("client")
        self.founder, self.admin = stack.sign_up("founder"), stack.sign_up("admin")
        # Columns that some call filters by are never null, or the call could not find its row.
        calls = list(calls)
        self._asked = {(call.table, name) for call in calls if call.table for name in call.filtered}
        self._called = {call.table for call in calls}
        self.numbers = itertools.count(1)
        self._making: set[str] = set()
        self._rows: dict[str, Row] = {"orgs": self._found_org()}

    def row(self, table: str) -> Row:
        """The row of this table that the calls are about; empty where it is a view without rows."""
        if table not in self._rows:
            self._making.add(table)
            row = self._existing(table) or self.make(table)
            # The person who signs in as a client is this one.
            self._rows[table] = self.change(table, row, {"auth_user_id": self.client.id}) if table == "clients" else row
            self._making.discard(table)
        elif table in self.catalogue.primary_keys:
            # Calls write to it too.
            key = self._key(table, self._rows[table])
            where = sql.SQL("select * from public.{} where {}").format(sql.Identifier(table), self._pairs(key, " and "))
            # A call that deletes all of an organisation's takes this one too.
            found = self.stack.owner.execute(where, list(key.values())).fetchone()
            self._rows[table] = found or self.make(table)
        return self._rows[table]

    def fresh(self, table: str, changes: Row) -> Row:
        """Another row, for a call that changes or deletes it; of settings an organisation has no other."""
        one = table == "orgs" or table in ONE_EACH or self.is_settings(table)
        if one or table not in self.catalogue.primary_keys:
            return self.row(table)
        row = self.make(table)
        return self.change(table, row, changes) if changes else row

    def is_settings(self, table: str) -> bool:
        """Whether an organisation has one row of it at most."""
        return self.catalogue.primary_keys.get(table) == ("org_id",)

    def make(self, table: str, **given: Any) -> Row:
        """Inserts a row of the organisation, as the owner."""
        n = next(self.numbers)
        columns = [column for column in self.catalogue.tables[table].values() if self._is_filled(column)]
        values = [given.get(c.name, self._adapted(c, self.value(c, n, self.coach))) for c in columns]
        statement = sql.SQL("insert into public.{} ({}) values ({}) returning *").format(
            sql.Identifier(table),
            sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        )
        return self._one(statement, values)

    def change(self, table: str, row: Row, changes: Row) -> Row:
        """Updates a row by its key, as the owner."""
        statement = sql.SQL("update public.{} set {} where {} returning *").format(
            sql.Identifier(table), self._pairs(changes, ", "), self._pairs(self._key(table, row), " and ")
        )
        return self._one(statement, [*changes.values(), *self._key(table, row).values()])

    def version(self, table: str, row: Row) -> str | None:
        """What changes with every write to the row; None when it is gone."""
        statement = sql.SQL("select xmin::text as v from public.{} where {}").format(
            sql.Identifier(BASES.get(table, table)), self._pairs(self._key(table, row), " and ")
        )
        found = self.stack.owner.execute(statement, list(self._key(table, row).values())).fetchone()
        return found["v"] if found else None

    def value(self, column: Column, n: int, person: Person | None) -> Any:
        """What row number `n` holds in a column; people write their own id."""
        parent = self.catalogue.parent_of(column.table, column.name)
        if column.name == "org_id":
            return str(self.row("orgs")["id"])
        if (column.table, column.name) == ("client_invites", "redeemed_by"):
            return self.client.id  # By redeem_client_invite, before the app writes the same.
        if column.name in ("storage_path", "photo_paths"):
            path = f"{self.row('clients')['id']}/2026-11-29/front-{n}.jpg"
            return path if column.type == "text" else [path]
        if parent == "auth.users" or column.name == "user_id":
            return self.admin.id if column.table == "platform_admins" else person and person.id
        if parent and not is_set_by_contract(column):
            row = self.row(parent) if parent in self.catalogue.tables else self._private(parent, n)
            return str(row["id"] if "id" in row else row[self.catalogue.primary_keys[parent][0]])
        return plausible(self.catalogue, column, n)

    def caller(self, person: Person | None) -> Caller:
        """Somebody at the database itself, as Storage's server speaks for them; set up as on hosted Supabase."""
        if not self.stack.value("select to_regclass('storage.objects') is not null"):
            self.stack.owner.execute(STORAGE.read_text().encode())
            for statement in split_statements((schemas_directory() / "27_progress/access.sql").read_text()):
                if "storage.buckets" in statement.text:
                    self.stack.owner.execute(statement.text.encode())
        claims = {"role": "authenticated", "sub": person.id} if person else {"role": "anon"}
        return Caller(self.stack.state.database_url, claims["role"], claims)

    @contextmanager
    def support(self) -> Iterator[None]:
        """The platform admin has taken support access to the organisation, as the console does before it shows it."""
        arguments = {"p_org_id": self.row("orgs")["id"], "p_reason": "They asked for help"}
        access = self.admin.rpc("start_support_access", arguments).run().ok()
        yield
        self.admin.rpc("end_support_access", {"p_access_id": access["id"]}).run().ok()

    def end_thread(self) -> None:
        """No conversation yet: the apps open one where they found none."""
        self.stack.owner.execute("delete from public.message_threads where org_id = %s", [self.row("orgs")["id"]])
        for table in ("message_threads", "messages"):
            self._rows.pop(table, None)

    def keep_open(self) -> None:
        """Hours around the clock: what a client books is on offer, whatever earlier calls made of hours and blocks."""
        org = self.row("orgs")["id"]
        owner = self.stack.owner
        owner.execute("delete from public.availability where org_id = %s", [org])
        owner.execute("delete from public.blocked_times where org_id = %s", [org])
        owner.execute(
            "insert into public.availability (org_id, day_of_week, start_time, end_time)"
            " select %s, d, '00:00', '24:00' from generate_series(0, 6) as d",
            [org],
        )

    def new_org(self, founder: Person, *, joined: bool) -> str:
        """An organisation without settings, for calls that insert the one row an organisation has."""
        n = next(self.numbers)
        row = self._one(
            sql.SQL("insert into public.orgs (name, slug, created_by) values (%s, %s, %s) returning *"),
            [f"New {n}", f"new-{n}", founder.id],
        )
        if joined:
            self.stack.owner.execute(
                "insert into public.org_members (org_id, user_id, role) values (%s, %s, 'owner')",
                [row["id"], founder.id],
            )
        return str(row["id"])

    def _private(self, table: str, n: int) -> Row:
        """A row of a table that no app sees, where one of theirs needs it."""
        assert table == "private.stripe_payments", table
        return self._one(
            sql.SQL(
                "insert into private.stripe_payments (org_id, kind, payment_intent_id, amount_cents, currency, paid_at)"
                " values (%s, 'package', %s, 9000, 'aud', now()) returning *"
            ),
            [self.row("orgs")["id"], f"pi_replayed_{n}"],
        )

    def _found_org(self) -> Row:
        """By the app's own sequence."""
        names = {"name": f"Kilo {self.coach.id}", "slug": f"kilo-{self.coach.id}"}
        org: Row = self.coach.from_("orgs").insert(names).select().single().run().ok()
        self.coach.from_("org_members").insert(
            {"org_id": org["id"], "user_id": self.coach.id, "role": "owner"}
        ).run().ok()
        return org

    def _existing(self, table: str) -> Row | None:
        """The row that the sign-up has made, or any of a view's."""
        conditions = {"org_members": "user_id", "profiles": "id", "staff": "user_id"}
        if table in BASES:
            base = self.row(BASES[table])
            statement = sql.SQL("select * from public.{} where id = %s").format(sql.Identifier(table))
            return self.stack.owner.execute(statement, [base["id"]]).fetchone()
        if table == "measurement_types":
            # The migrations have filled it, and the apps only read it.
            return self.stack.owner.execute("select * from public.measurement_types limit 1").fetchone()
        if table == "plans":
            # The platform's: a second world finds the first one's.
            return self.stack.owner.execute("select * from public.plans where is_default").fetchone()
        if table in SUMMED:
            # Summed for whoever reads it: the owner of the tables sees nothing there.
            self.row(SUMMED[table])
            summary = self.coach.from_(table).select("*").eq("org_id", self.row("orgs")["id"]).limit(1).run().ok()
            return dict(summary[0])
        if table in conditions:
            where = sql.SQL("where {} = %s").format(sql.Identifier(conditions[table]))
        elif table in ONE_EACH or table not in self.catalogue.primary_keys:
            where = sql.SQL("where {} = %s limit 1").format(sql.Identifier("org_id"))
        else:
            return None
        value = self.coach.id if table in conditions else self.row("orgs")["id"]
        statement = sql.SQL("select * from public.{} ").format(sql.Identifier(table)) + where
        return self.stack.owner.execute(statement, [value]).fetchone() or {}

    def _is_filled(self, column: Column) -> bool:
        if column.generated or column.name == "id":
            return False
        if column.required and not column.has_default:
            return True
        # Who signs in is set afterwards; what fires by its schedule is about nobody.
        if (column.table, column.name) in {("clients", "auth_user_id"), ("automation_firings", "client_id")}:
            return False
        parent = self.catalogue.parent_of(column.table, column.name)
        # Tables may point at each other; the row that is being made for the other one cannot be named yet.
        # Tables that no call names are ours; their keys may stay empty.
        is_key = parent is not None and parent in self._called and parent not in {column.table, *self._making}
        is_key = is_key and parent in self.catalogue.tables
        return is_key or is_set_by_contract(column) or (column.table, column.name) in self._asked

    def _adapted(self, column: Column, value: Any) -> Any:
        return Jsonb(value) if column.type == "jsonb" else value

    def _key(self, table: str, row: Row) -> Row:
        return {name: row[name] for name in self.catalogue.primary_keys.get(table, ("id",))}

    def _pairs(self, columns: Row, joint: str) -> sql.Composed:
        return sql.SQL(joint).join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)

    def _one(self, statement: sql.Composable, parameters: list[Any]) -> Row:
        row = self.stack.owner.execute(statement, parameters).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return dict(row)
