"""A script is cut where the Supabase CLI cuts it: the ledger both write must not differ."""

import pytest

from coach_os.stack.statements import split_statements


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("  ;; ;\n", []),
        ("select ';'; select 2;", ["select ';'", "select 2"]),
        ("select 'it''s;'; select 2;", ["select 'it''s;'", "select 2"]),
        (r"select E'\';'; select 2;", [r"select E'\';'", "select 2"]),
        (r"select '\'; select 2;", [r"select '\'", "select 2"]),
        ('select ";"; select 2;', ['select ";"', "select 2"]),
        ("-- a; b\nselect 1;", ["-- a; b\nselect 1"]),
        ("/* a; /* b; */ c; */ select 1; select 2", ["/* a; /* b; */ c; */ select 1", "select 2"]),
        ("do $$ begin; end $$; select 2", ["do $$ begin; end $$", "select 2"]),
        ("do $a$ $$; $b$ $a$; select 2", ["do $a$ $$; $b$ $a$", "select 2"]),
        ("select a$1; select $1", ["select a$1", "select $1"]),
        (
            "create rule r as on insert to t do (a; b); select 2",
            ["create rule r as on insert to t do (a; b)", "select 2"],
        ),
        (
            "create function f() returns int begin atomic select 1; select case when true then 2 end; end; select 3;",
            [
                "create function f() returns int begin atomic select 1; select case when true then 2 end; end",
                "select 3",
            ],
        ),
        ("begin; select 1; end; select 2", ["begin", "select 1", "end", "select 2"]),
        ("select 1; -- the last word", ["select 1", "-- the last word"]),
        ("\ufeffselect 1;", ["select 1"]),
        ("select 'open; select 2", ["select 'open", "select 2"]),
    ],
)
def test_a_script_is_cut_at_its_statements(script: str, expected: list[str]) -> None:
    assert [statement.text for statement in split_statements(script)] == expected


def test_a_statement_knows_the_line_of_its_first_word() -> None:
    script = "select 1;\n\n-- why\n/* and\nhow */\nselect\n 2;\n"
    assert [statement.line for statement in split_statements(script)] == [1, 6]
