"""Makes one call as the app makes it, by supabase-js, and judges what came of it."""

import re
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.clients.stack import PASSWORD, Person
from tests.clients.supabase_js import Answer, Client
from tests.clients.supabase_js import Call as Chain
from tests.contract.replay.calls import Call
from tests.contract.replay.values import beyond, plausible
from tests.contract.replay.world import Row, World
from tests.harness.storage import Storage

#: What a literal in a filter stands for.
_LITERALS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Outcome:
    """What came of one call: `problem` is None when it did what the app expects of it."""

    call: Call
    problem: str | None


class Replay:
    """Replays calls in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack = world.stack
        self._visitor, self._service = self.stack.open(), self.stack.service()

    def make(self, call: Call) -> Outcome:
        """Makes one call."""
        makers = {"table": self._table, "raw_rest": self._table, "rpc": self._rpc, "auth": self._auth}
        makers |= {"functions": self._function, "storage": self._storage, "realtime": self._realtime}
        maker = makers[call.kind]
        # Whose clients the console shows is said first, and audited.
        with self.world.support() if "/(app)/admin" in call.sites[0] and call.table == "clients" else nullcontext():
            return Outcome(call, maker(call))

    def actor(self, call: Call) -> tuple[Person | None, Client]:
        """Who makes the call."""
        if call.role == "anon":
            return None, self._visitor
        if call.role == "service_role":
            return None, self._service
        world = self.world
        if call.caller == "mobile":
            person = world.client
        elif "/(app)/admin" in call.sites[0] or call.table == "platform_admins":
            world.row("platform_admins")
            person = world.admin
        elif self._founds(call):
            person = world.founder
        else:
            person = world.coach
        return person, person.tab

    def _table(self, call: Call) -> str | None:
        assert call.table
        if call.table not in self.world.catalogue.tables:
            _, client = self.actor(call)
            answer = client.from_(call.table).select("*").limit(1).run()
            return f"no {call.table}" if answer.error else None
        return getattr(self, f"_{call.op}")(call)  # type: ignore[no-any-return]

    def _select(self, call: Call) -> str | None:
        row = self._row_for(call)
        _, client = self.actor(call)
        head = "count=exact,head" in call.modifiers
        chain = client.from_(call.table).select(call.select, *([{"count": "exact", "head": True}] if head else []))
        answer = self._finished(chain, call, row).run()
        if answer.error:
            return _refusal(answer)
        if not row:
            return None
        found = answer.count if head else answer.data
        if not found:
            return "sees nothing"
        first: Row = answer.data[0] if isinstance(answer.data, list) else answer.data or {}
        missing = [embed.name for embed in call.selected.embeds if not head and first.get(embed.name) is None]
        return f"embeds no {missing[0]}" if missing else None

    def _insert(self, call: Call) -> str | None:
        person, client = self.actor(call)
        if call.table == "bookings" and call.caller == "mobile":
            self.world.keep_open()
        if call.table == "message_threads":
            self.world.end_thread()
        payload = self._payload(call, person)
        options = [{"onConflict": call.on_conflict}] if call.on_conflict else []
        chain = client.from_(call.table).step(call.op, payload, *options)
        answer = self._returned(chain, call).run()
        if answer.error:
            return _refusal(answer)
        wanted = dict if "single" in call.modifiers else list
        return "returns no row" if call.returning and not isinstance(answer.data, wanted) else None

    _upsert = _insert

    def _update(self, call: Call) -> str | None:
        return self._write(call, self._payload(call, self.actor(call)[0]))

    def _delete(self, call: Call) -> str | None:
        return self._write(call)

    def _write(self, call: Call, *payload: Row) -> str | None:
        assert call.table
        row = self._row_for(call)
        _, client = self.actor(call)
        before = self.world.version(call.table, row)
        answer = self._returned(self._filtered(client.from_(call.table).step(call.op, *payload), call, row), call).run()
        if answer.error:
            return _refusal(answer)
        # No row matched: the API answers this as it answers a success.
        return "changes nothing" if self.world.version(call.table, row) == before else None

    def _rpc(self, call: Call) -> str | None:
        table_of = {"p_purchase_id": "client_purchases", "p_client_id": "clients", "p_org_id": "orgs"}
        known = {name: self.world.row(table)["id"] for name, table in table_of.items() if name in call.args}
        _, client = self.actor(call)
        answer = client.rpc(call.function, {name: known.get(name) for name in call.args}).run()
        if answer.error and answer.error["code"] == "PGRST202":
            return f"no {call.function}"
        return _refusal(answer) if answer.error else None

    def _function(self, call: Call) -> str | None:
        # The one that the apps invoke pushes to a client's phone.
        body = {"client_id": self.world.row("clients")["id"], "title": "Hello", "body": "Well done"}
        functions = Chain(self.actor(call)[1], (("functions",),))
        answer = functions.invoke(call.function, {"body": body}).run()
        return f"no {call.function}" if answer.error else None

    # The embedded stack has no Storage and no Realtime. What their servers ask the database decides: it is asked here.
    def _storage(self, call: Call) -> str | None:
        with closing(self.world.caller(self.actor(call)[0])) as caller:
            if call.op == "storage.getPublicUrl":
                public = self.stack.value("select public from storage.buckets where id = 'progress-photos'")
                return None if public else "not public"
            path = f"{self.world.row('clients')['id']}/2026-11-29/front-{next(self.world.numbers)}.jpg"
            return None if Storage(caller).upload(path, upsert=True) else "403 storage"

    def _realtime(self, call: Call) -> str | None:
        message = self.world.row("messages")
        published = self.stack.value(
            "select bool_or(tablename = 'messages') from pg_publication_tables where pubname = 'supabase_realtime'"
        )
        heard = self.actor(call)[1].from_("messages").select("id, org_id").eq("id", message["id"]).run().ok()
        return None if published and heard else "hears nothing"

    def _auth(self, call: Call) -> str | None:
        person, _ = self.actor(call)
        tab = self.stack.sign_in(person) if person else self.stack.open()
        credentials = {"email": f"new-{id(call)}@example.com", "password": PASSWORD}
        match call.op.split(".")[1]:
            case "signUp":
                answer = self.stack.open().auth.signUp(credentials).run()
            case "signInWithPassword":
                assert person
                answer = self.stack.open().auth.signInWithPassword({**credentials, "email": person.email}).run()
            case "onAuthStateChange":
                return None  # It listens in the browser and asks nobody.
            case "getUser" if person is None:
                # Somebody else's server asks with the token that a request brought.
                answer = tab.auth.getUser(self.stack.token(self.world.coach)).run()
            case method:
                answer = tab.auth.step(method).run()
        return f"auth: {answer.error['message']}" if answer.error else None

    def _founds(self, call: Call) -> bool:
        """Whether it is the one insert of its kind that an organisation sees."""
        table = call.table or ""
        is_first = table in ("orgs", "org_members") or self.world.is_settings(table)
        return call.op in ("insert", "upsert") and is_first

    def _row_for(self, call: Call) -> Row:
        """A row that the call's literal filters let pass; one of its own when the call changes it."""
        assert call.table
        columns = self.world.catalogue.tables[call.table]
        wanted: Row = {}
        for operator, column, value in call.filters:
            if value != "<expr>" and operator in ("eq", "in") and column in columns:
                first = value.strip("()").split(",")[0]
                wanted[column] = _LITERALS.get(first, first)
        row = self.world.row(call.table)
        changes = {name: value for name, value in wanted.items() if row and row.get(name) != value}
        if (call.op, call.table) == ("delete", "client_purchases"):
            # Not paid for: one that was has its money in the ledger, and stays.
            return self.world.make(call.table, payment_status="pending")
        own = call.op in ("update", "delete") and not (call.caller == "mobile" and call.table == "clients")
        return self.world.fresh(call.table, changes) if own or changes else row

    def _payload(self, call: Call, person: Person | None) -> Row:
        assert call.table
        world = self.world
        columns = world.catalogue.tables[call.table]
        n = next(world.numbers)
        payload = {name: world.value(columns[name], n, person) for name in call.written if name in columns}
        payload |= {name: None for name in call.written if name not in columns}
        if call.op == "update" and call.table == "bookings" and "status" in payload:
            payload["status"] = "cancelled" if "cancelled_at" in payload else "completed"
        if call.table == "messages" and call.caller == "mobile":
            payload["sender_type"] = "client"
        if self._founds(call) and "org_id" in payload:
            assert person
            payload["org_id"] = world.new_org(person, joined=call.table != "org_members")
        if call.table == "orgs" and person is world.admin and "commission_rate" in payload:
            payload["commission_rate"] = 0.1
        return payload

    def _returned(self, chain: Chain, call: Call) -> Chain:
        if call.returning:
            chain = chain.select(call.select)
        return chain.single() if "single" in call.modifiers else chain

    def _finished(self, chain: Chain, call: Call, row: Row) -> Chain:
        chain = self._filtered(chain, call, row)
        for column, ascending in call.ordered:
            chain = chain.order(column, {"ascending": ascending})
        for modifier in call.modifiers:
            name, _, argument = modifier.rstrip(")").partition("(")
            if name == "limit":
                chain = chain.limit(int(argument) if argument.isdigit() else 10)
            elif name == "range":
                chain = chain.range(0, 9)
            elif name in ("single", "maybeSingle"):
                chain = chain.step(name)
        return chain

    def _filtered(self, chain: Chain, call: Call, row: Row) -> Chain:
        for operator, column, value in call.filters:
            if operator == "or":
                pattern = r"(\w+)\.(\w+)\.([^,]*<expr>[^,]*)"
                chain = chain.or_(re.sub(pattern, lambda m: self._condition(m, call, row), value))
            elif operator == "not.is":
                chain = chain.not_(column, "is", None)
            elif value != "<expr>":
                given: Any = value.strip("()").split(",") if operator == "in" else _LITERALS.get(value, value)
                chain = chain.step(operator, column, given)
            elif operator == "in":
                chain = chain.in_(column, [self._value_of(call, column, row)])
            elif operator in ("gt", "gte", "lt", "lte"):
                bound = beyond(self._value_of(call, column, row), upwards=operator[0] == "l")
                chain = chain.step(operator, column, bound)
            else:
                chain = chain.step(operator, column, self._value_of(call, column, row))
        return chain

    def _condition(self, match: re.Match[str], call: Call, row: Row) -> str:
        column, operator, value = match.groups()
        return f"{column}.{operator}.{value.replace('<expr>', str(self._value_of(call, column, row)))}"

    def _value_of(self, call: Call, column: str, row: Row) -> Any:
        assert call.table
        if row.get(column) is not None:
            return row[column]
        return plausible(self.world.catalogue, self.world.catalogue.tables[call.table][column], 0)


def _refusal(answer: Answer) -> str:
    assert answer.error
    return f"{answer.status} {answer.slug or answer.error['code']}"
