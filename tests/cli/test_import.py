"""coach client import: what other systems' files hold becomes clients and packages, once, and row by row."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Coach
from tests.harness.database import Database, refuses
from tests.harness.races import barrier_race, values
from tests.harness.world import World

CLIENT = "full_name,email,phone,date_of_birth"
HEADER = f"{CLIENT},package,sessions_total,sessions_used,amount_paid,currency,purchased_on,expires_on"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clients.csv"


def run(
    coach: Coach, file: Path, *arguments: object, rows: list[str] | None = None, header: str = HEADER
) -> list[dict[str, Any]]:
    """The rows of the report."""
    if rows is not None:
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    ran = coach("client", "import", file, "--org", "kilo", "--json", *arguments)
    assert ran.code in (0, 1), ran.err
    report: list[dict[str, Any]] = json.loads(ran.out)
    assert ran.code == int(any(row["outcome"] == "refused" for row in report))
    return report


def outcomes(report: list[dict[str, Any]]) -> list[str]:
    return [row["slug"] or row["outcome"] for row in report]


def clients(world: World) -> list[dict[str, Any]]:
    return world.db.owner.rows(
        "select full_name, email, phone_e164 from public.clients where org_id = %s order by full_name", (world.kilo.id,)
    )


def test_clients_and_packages_come_in_and_a_second_time_change_nothing(coach: Coach, world: World, file: Path) -> None:
    rows = [
        'Mia Tanaka,mia@tanaka.example,0400 111 222,1990-02-28,Ten sessions,10,4,"800,00",AUD,2026-03-01,2027-03-01',
        "Noah Lim,noah@lim.example,,,,,,,,,",
        "Ava Singh,,+61 400 333 444,,ten  SESSIONS,,,,,,",
    ]
    planned = run(coach, file, "--dry-run", rows=rows)
    assert [row["line"] for row in planned] == [2, 3, 4]
    assert outcomes(planned) == ["created"] * 3
    assert len(clients(world)) == 1, "a dry run writes nothing"
    assert outcomes(run(coach, file)) == ["created"] * 3
    assert outcomes(run(coach, file)) == ["unchanged"] * 3
    assert [row["full_name"] for row in clients(world)] == ["Ava Singh", "Client of Kilo", "Mia Tanaka", "Noah Lim"]
    mia, ava = (
        world.db.owner.row(
            "select p.*, c.date_of_birth, (p.expires_at at time zone 'Australia/Brisbane')::text as local_expiry"
            " from public.client_purchases as p join public.clients as c on c.id = p.client_id where c.full_name = %s",
            (name,),
        )
        for name in ("Mia Tanaka", "Ava Singh")
    )
    assert (mia["sessions_total"], mia["sessions_used"], mia["amount_paid_cents"]) == (10, 4, 80_000)
    assert (mia["payment_status"], mia["local_expiry"]) == ("succeeded", "2027-03-02 00:00:00")
    assert str(mia["date_of_birth"]) == "1990-02-28"
    entered = "select kind, used_delta, reason from public.session_entries where purchase_id = %s"
    entries = world.db.owner.rows(entered, (mia["id"],))
    assert entries == [{"kind": "opening", "used_delta": 4, "reason": "imported"}]
    assert world.kilo.sessions(mia["id"]) == (4, 4)
    assert (ava["sessions_total"], ava["sessions_used"], ava["amount_paid_cents"]) == (10, 0, 80_000), "the offer's own"
    assert world.kilo.coach.call("public.use_session", p_purchase_id=mia["id"]) is True
    assert outcomes(run(coach, file))[0] == "unchanged", "what was used since is the ledger's, not the file's"


def test_a_known_client_is_updated_by_what_the_file_says_and_no_more(coach: Coach, world: World, file: Path) -> None:
    report = run(coach, file, rows=["Client of Kilo,CLIENT@kilo.example,0400000000,1980-01-31,,,,,,,"])
    assert (report[0]["outcome"], report[0]["changed"]) == ("updated", ["date_of_birth", "phone"])
    again = run(coach, file, rows=["Client of Kilo,client@KILO.example,+61 400 000 000,,,,,,,,"])
    assert outcomes(again) == ["unchanged"]
    assert report[0]["client_id"] == str(world.kilo.client_id)
    report = run(coach, file, rows=["Kim of Kilo,client@kilo.example,,,,,,,,,"])
    assert (report[0]["outcome"], report[0]["changed"]) == ("updated", ["full_name"])
    row = world.db.owner.row("select * from public.clients where id = %s", (world.kilo.client_id,))
    assert (row["full_name"], row["email"]) == ("Kim of Kilo", "client@kilo.example")
    assert str(row["date_of_birth"]) == "1980-01-31"
    assert clients(world)[0]["full_name"] == "Kim of Kilo"


def test_a_person_twice_in_a_file_is_one_client(coach: Coach, world: World, file: Path) -> None:
    world.kilo.add_offer(name="Five sessions", sessions_included=5)
    rows = [
        "Mia Tanaka,mia@tanaka.example,0400111222,,Ten sessions,,,,,,",
        "M. Tanaka,MIA@tanaka.example,,,,,,,,,",
        "Mia Tanaka,mia@tanaka.example,,,Five sessions,,2,,,,",
        "Mia  tanaka,,+61400111222,,Five sessions,,2,,,,",
        "Tom Tanaka,,0400111222,,,,,,,,",
        "Tom Tanaka,tom@tanaka.example,0400111222,,,,,,,,",
    ]
    wanted = ["created", "row_duplicate", "updated", "row_duplicate", "client_ambiguous", "client_ambiguous"]
    planned = run(coach, file, "--dry-run", rows=rows)
    assert outcomes(planned) == wanted
    done = run(coach, file)
    assert outcomes(done) == wanted
    assert [row["of_line"] for row in done] == [None, 2, 2, 2, None, 6]
    assert done[2]["package"] == "created"
    assert [row["full_name"] for row in clients(world)] == ["Client of Kilo", "Mia Tanaka"]
    packages = "select count(*) from public.client_purchases where client_id = %s"
    assert world.db.owner.value(packages, (done[0]["client_id"],)) == 2


def test_batches_know_of_each_other(coach: Coach, world: World, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person twice in a file gets does not hang on where the file is cut."""
    monkeypatch.setattr("coach_cli.commands.client.BATCH", 1)
    world.kilo.add_offer(name="Five sessions", sessions_included=5)
    rows = [
        "Mia Tanaka,mia@tanaka.example,0400111222,,Nothing such,,,,,,",
        "Mia Tanaka,mia@tanaka.example,0400111222,,Ten sessions,,,,,,",
        "Mia Tanaka,mia@tanaka.example,,,Five sessions,,,,,,",
        "Mia Tanaka,mia@tanaka.example,,,Five sessions,,,,,,",
        "Tom Tanaka,,0400111222,,,,,,,,",
    ]
    wanted = ["offer_not_found", "created", "updated", "row_duplicate", "client_ambiguous"]
    assert outcomes(run(coach, file, "--dry-run", rows=rows)) == wanted
    assert outcomes(run(coach, file)) == wanted
    monkeypatch.setattr("coach_cli.commands.client.BATCH", 100)
    wanted[1:3] = ["unchanged", "unchanged"]
    assert outcomes(run(coach, file)) == wanted


#: What a file may hold in one row, and what that row alone is refused for.
UNREADABLE: list[tuple[dict[str, str], str, str | None]] = [
    ({"full_name": ""}, "value_missing", "full_name"),
    ({"full_name": "x" * 201}, "value_not_allowed", "full_name"),
    ({"full_name": "x" * 3_000_000}, "value_not_allowed", "full_name"),
    ({"full_name": '=HYPERLINK("http://evil")'}, "formula_refused", "full_name"),
    ({"full_name": "@SUM(A1)"}, "formula_refused", "full_name"),
    ({"email": "-cmd|'/c calc'!A1"}, "formula_refused", "email"),
    ({"email": "nobody"}, "value_not_allowed", "email"),
    ({"email": "a@b.example, c@d.example"}, "value_not_allowed", "email"),
    ({"email": ""}, "client_unidentified", None),
    ({"phone": "call me"}, "value_not_allowed", "phone"),
    ({"phone": "12"}, "value_not_allowed", "phone"),
    ({"date_of_birth": "31/02/1990"}, "date_invalid", "date_of_birth"),
    ({"date_of_birth": "1990-02-30"}, "date_invalid", "date_of_birth"),
    ({"date_of_birth": "03/04/1990"}, "date_invalid", "date_of_birth"),
    ({"date_of_birth": "0001-01-01"}, "date_invalid", "date_of_birth"),
    ({"sessions_total": "10"}, "value_missing", "package"),
    ({"package": "Nothing such"}, "offer_not_found", "package"),
    ({"package": "Ten sessions", "currency": "usd"}, "sale_currency_mismatch", "currency"),
    ({"package": "Ten sessions", "amount_paid": "1,234.50"}, "value_not_allowed", "amount_paid"),
    ({"package": "Ten sessions", "amount_paid": "-5"}, "value_not_allowed", "amount_paid"),
    ({"package": "Ten sessions", "amount_paid": "5.005"}, "value_not_allowed", "amount_paid"),
    ({"package": "Ten sessions", "sessions_used": "11"}, "sessions_out_of_range", "sessions_used"),
    ({"package": "Ten sessions", "sessions_used": "-1"}, "value_not_allowed", "sessions_used"),
    ({"package": "Ten sessions", "sessions_total": "99999"}, "value_not_allowed", "sessions_total"),
    ({"package": "Ten sessions", "sessions_total": "1e5"}, "value_not_allowed", "sessions_total"),
    (
        {"package": "Ten sessions", "purchased_on": "2026-03-02", "expires_on": "2026-03-01"},
        "date_invalid",
        "expires_on",
    ),
]


def test_a_row_that_cannot_be_meant_is_refused_alone(coach: Coach, world: World, file: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER.split(","))
    writer.writeheader()
    for number, (cells, _, _) in enumerate(UNREADABLE):
        writer.writerow({"full_name": "Bad Row", "email": f"bad{number}@row.example", **cells})
    writer.writerow({"full_name": "Good Row", "email": "good@row.example"})
    file.write_text(text.getvalue(), encoding="utf-8")
    *bad, good = run(coach, file)
    assert [(row["slug"], row["column_name"]) for row in bad] == [(slug, column) for _, slug, column in UNREADABLE]
    assert good["outcome"] == "created"
    assert [row["full_name"] for row in clients(world)] == ["Client of Kilo", "Good Row"]


@pytest.mark.parametrize(
    "content",
    [
        "name,e-mail\r\nZoë Müller,zoe@example.com\r\n".encode("utf-8-sig"),
        "Name;E-Mail;Wohnort\r\nZoë Müller;zoe@example.com;Köln\r\n".encode("cp1252"),
        "sep=;\r\nName;E-Mail\r\nZoë Müller;zoe@example.com\r\n".encode(),
        "Name\tEmail\nZoë Müller\tzoe@example.com\n".encode("utf-16"),
        "\n\nNAME|MAIL\nZoë Müller|zoe@example.com\n\n".encode(),
        'First name,Last name,Mail\n"Zoë",Müller,zoe@example.com'.encode(),
        "name,email\n\u202eZoë\u200b Müller\u2069,\u00a0zoe@example.com\u00a0\n".encode(),
        'name,email,mobile\n"Zoë Müller",zoe@example.com,"=""0400111222"""\n'.encode(),
    ],
    ids=["bom", "cp1252 semicolons", "sep line", "utf-16 tabs", "pipes, blank lines", "two names", "marks", "wrapped"],
)
def test_files_as_the_world_writes_them(coach: Coach, world: World, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert outcomes(run(coach, file)) == ["created"]
    assert {"Zoë Müller", "zoe@example.com"} <= {value for row in clients(world) for value in row.values()}
    assert outcomes(run(coach, file)) == ["unchanged"]


def test_undecodable_and_malformed_rows_are_refused_alone(coach: Coach, world: World, file: Path) -> None:
    file.write_bytes(b"name,email\nA\x81,a@b.example\nB\x00,b@b.example\nC,c@b.example,stray\nD\nE,e@b.example,\n")
    wanted = ["text_undecodable", "text_undecodable", "row_malformed", "client_unidentified", "created"]
    assert outcomes(run(coach, file)) == wanted


def test_dates_are_read_in_the_order_that_is_said(coach: Coach, world: World, file: Path) -> None:
    header = "name,email,dob"
    run(coach, file, "--dates", "dmy", rows=["A,a@example.com,03/04/1990", "B,b@example.com,1990-04-03"], header=header)
    run(coach, file, "--dates", "mdy", rows=["C,c@example.com,04/03/1990"], header=header)
    born = "select distinct date_of_birth::text from public.clients where date_of_birth is not null"
    assert world.db.owner.values(born) == ["1990-04-03"]


def test_a_file_that_is_no_table_of_clients_is_refused_whole(coach: Coach, world: World, file: Path) -> None:
    for content, words in (
        ("", "does not name the columns"),
        ("name,city\nA,B\n", "does not name the columns"),
        ("name,email,e-mail\nA,a@example.com,\n", "Two columns of the file mean the same."),
    ):
        file.write_text(content)
        coach("client", "import", file, "--org", "kilo").refused(words)
    coach("client", "import", file.with_name("none.csv"), "--org", "kilo").refused("cannot be read")
    file.write_text("name,email\nA,a@example.com\n")
    coach("client", "import", file, "--org", "nowhere").refused("no such organisation")
    assert len(clients(world)) == 1


def test_an_import_that_stops_says_what_is_done(
    coach: Coach, world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coach_cli.commands.client.BATCH", 1)
    file.write_text('name,email\nA,a@example.com\nB,"' + "x" * 5_000_000)
    ran = coach("client", "import", file, "--org", "kilo", "--json")
    assert (ran.code, outcomes(json.loads(ran.out))) == (1, ["created"])
    assert "What is listed is done" in ran.err
    assert "Look at the quotes from line 3 on." in ran.err


def test_another_organisation_knows_nothing_of_an_import(coach: Coach, world: World, file: Path) -> None:
    """The same person may be a client of two businesses, and an offer of another is none."""
    world.lima.add_offer(name="Lima only")
    report = run(coach, file, rows=["Client of Lima,client@lima.example,,,,,,,,,", "B,b@example.com,,,Lima only,,,,,,"])
    assert outcomes(report) == ["created", "offer_not_found"]
    assert world.db.owner.value("select count(*) from public.clients where org_id = %s", (world.lima.id,)) == 1


def test_a_brake_stops_an_import_and_loses_nothing(coach: Coach, world: World, file: Path) -> None:
    world.db.owner.rows("insert into private.brakes (kind, reason) values ('imports', 'A test')")
    file.write_text(f"{HEADER}\nA,a@example.com,,,,,,,,,\n")
    coach("client", "import", file, "--org", "kilo").refused("paused")
    world.db.owner.rows("delete from private.brakes")
    assert outcomes(run(coach, file)) == ["created"]


def test_two_imports_at_once_make_one_client(world: World) -> None:
    package = {"package": "Ten sessions", "sessions_used": "3"}
    people = [{"full_name": f"Person {n}", "email": f"p{n}@example.com", **package} for n in range(40)]
    rows = [{"line": line, "cells": cells} for line, cells in enumerate(people, 2)]

    def act(caller: Any) -> list[str]:
        import_id = caller.call("service.open_client_import", p_org_id=world.kilo.id)
        found = caller.rows("select * from service.import_clients(%s, %s::jsonb)", (import_id, json.dumps(rows)))
        return [row["outcome"] for row in found]

    told = values(barrier_race(8, act, prepare=lambda _: world.db.service()))
    assert sorted(set(map(tuple, told))) == [("created",) * 40, ("unchanged",) * 40]
    assert sum(outcome[0] == "created" for outcome in told) == 1
    assert world.db.owner.value("select count(*) from public.clients where org_id = %s", (world.kilo.id,)) == 41
    sums = "select count(*), sum(sessions_used) as used from public.client_purchases where source = 'import'"
    assert dict(world.db.owner.row(sums)) == {"count": 40, "used": 120}
    assert world.db.owner.value("select sum(used_delta) from public.session_entries where reason = 'imported'") == 120


def test_a_batch_sent_twice_is_answered_the_same(db: Database, world: World) -> None:
    service = world.db.service()
    import_id = service.call("service.open_client_import", p_org_id=world.kilo.id)
    send = "select * from service.import_clients(%s, %s::jsonb)"
    rows = json.dumps([{"line": 2, "cells": {"full_name": "A", "email": "a@b.example"}}, {"line": 3, "cells": {}}])
    first = service.rows(send, (import_id, rows))
    assert service.rows(send, (import_id, rows)) == first
    with refuses(404, "import_not_found"):
        service.rows(send, (world.kilo.id, rows))
    many = json.dumps([{"line": n} for n in range(1001)])
    for broken in ("{}", "[]", '[{"cells": {}}]', '[{"line": 1}, {"line": 1}]', many):
        with refuses(422, "value_not_allowed"):
            service.rows(send, (import_id, broken))


def test_imports_are_listed_and_forgotten_after_a_month(coach: Coach, world: World, file: Path) -> None:
    run(coach, file, "--dry-run", rows=["A,a@example.com,,,,,,,,,", "B,,,,,,,,,,"])
    run(coach, file)
    listed = coach("client", "imports", "--org", "kilo", "--json").data
    assert [(row["is_dry_run"], row["created"], row["refused"]) for row in listed] == [(False, 1, 1), (True, 1, 1)]
    assert coach("client", "imports", "--org", "lima", "--json").data == []
    world.db.owner.rows("update private.client_imports set created_at = now() - interval '31 days' where is_dry_run")
    (swept,) = coach("sweep", "import-leftovers", "--dry-run", "--json").data
    assert swept["deleted"] == 1
    (swept,) = coach("sweep", "import-leftovers", "--json").data
    assert swept["deleted"] == 1
    assert len(coach("client", "imports", "--org", "kilo", "--json").data) == 1
    assert world.db.owner.value("select count(*) from private.client_import_rows") == 2
    assert len(clients(world)) == 2, "the clients stay"
