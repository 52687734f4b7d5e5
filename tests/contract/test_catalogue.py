"""The catalogue keeps the rules of the house, and each of these tests goes red when its rule is broken."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.contract.catalogue_rules import RULES, Rule
from tests.harness.cluster import Cluster
from tests.harness.database import Database


@pytest.fixture(scope="module")
def catalogue(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template(), label="catalogue")
    yield database
    cluster.drop(database)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_the_catalogue_keeps_the_rule(catalogue: Database, rule: Rule) -> None:
    assert catalogue.connect("supabase_admin").values(rule.breaches) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_a_breach_is_noticed(catalogue: Database, rule: Rule) -> None:
    with psycopg.connect(catalogue.admin_url) as connection:
        connection.execute(rule.breaking.encode())
        assert connection.execute(rule.breaches.encode()).fetchall() != []
        connection.rollback()
