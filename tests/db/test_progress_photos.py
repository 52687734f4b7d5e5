"""Progress photos where Supabase Storage is there: a private bucket in which each client has a folder of their own."""

import uuid
from collections.abc import Iterator

import pytest
from tests.harness.cluster import Cluster
from tests.harness.database import Database
from tests.harness.storage import SCHEMA, Storage
from tests.harness.world import World, make_world

from coach_os.stack.migrations import migrate


def _with_storage(cluster: Cluster) -> str:
    """As on hosted Supabase, Storage was there before the checkout's own migrations, which are run unchanged."""

    def build(name: str) -> None:
        database = Database(cluster.server, name)
        database.owner.connection.execute(SCHEMA.read_text())
        # Somebody made the bucket by hand, and public, as the app's public URLs ask for.
        database.owner.insert("storage.buckets", id="progress-photos", name="progress-photos", public=True)
        database.close()
        migrate(cluster.server.url(name))

    return cluster.template("template_with_storage", build, parent=cluster.platform_template())


@pytest.fixture
def world(cluster: Cluster) -> Iterator[World]:
    database = cluster.clone(_with_storage(cluster))
    yield make_world(database)
    cluster.drop(database)


def test_the_bucket_is_private_and_takes_pictures_alone(world: World) -> None:
    bucket = world.db.owner.row("select * from storage.buckets where id = 'progress-photos'")
    assert not bucket["public"]
    assert bucket["file_size_limit"] == 10 * 1024 * 1024
    assert set(bucket["allowed_mime_types"]) == {"image/jpeg", "image/png", "image/webp", "image/heic"}


def test_a_client_keeps_photos_in_their_own_folder_alone(world: World) -> None:
    kilo = world.kilo
    client = Storage(kilo.sign_client_in())
    path = f"{kilo.client_id}/2026-11-29/front-1.jpg"
    assert client.upload(path, upsert=True)
    assert client.upload(path, upsert=True), "the app sends upsert with every upload"
    assert client.create_signed_url(path)
    assert client.list() == [path]
    for other in (
        f"{kilo.add_client(full_name='Another')}/front.jpg",
        f"{world.lima.client_id}/front.jpg",
        f"{uuid.uuid4()}/front.jpg",
        f"{kilo.client_id}/../{world.lima.client_id}/front.jpg",
        f"{str(kilo.client_id).upper()}/front.jpg",
        f"{kilo.client_id}",
        f"{kilo.client_id}/",
        f"/{kilo.client_id}/front.jpg",
        "front.jpg",
        "",
    ):
        assert not client.upload(other), other
    assert not Storage(client.caller, bucket="avatars").list()
    assert client.remove(path)


def test_photos_of_another_client_do_not_exist(world: World) -> None:
    kilo, lima = world.kilo, world.lima
    path = f"{kilo.client_id}/front.jpg"
    assert Storage(kilo.sign_client_in()).upload(path)
    outsiders = [
        kilo.sign_client_in(kilo.add_client(full_name="Another")),
        lima.sign_client_in(),
        lima.coach,
        kilo.member("front_desk"),
        kilo.member("accountant_readonly"),
        world.nobody,
        world.db.anon(),
    ]
    for outsider in map(Storage, outsiders):
        assert not outsider.create_signed_url(path)
        assert not outsider.list()
        assert not outsider.remove(path)
        assert not outsider.upload(path, upsert=True), "an upsert is no way to replace what one may not see"
        assert not outsider.upload(f"{kilo.client_id}/forged.jpg")
    assert Storage(kilo.coach).list() == [path], "their own coach sees them"
    assert Storage(kilo.coach).upload(f"{kilo.client_id}/by-coach.jpg")


def test_a_client_who_leaves_takes_their_view_along(world: World) -> None:
    kilo = world.kilo
    client = kilo.sign_client_in()
    assert Storage(client).upload(f"{kilo.client_id}/front.jpg")
    world.db.owner.rows("update public.clients set auth_user_id = null where id = %s", (kilo.client_id,))
    assert not Storage(client).list()
    assert not Storage(client).upload(f"{kilo.client_id}/back.jpg")


def test_without_storage_the_migration_makes_nothing_of_it(db: Database) -> None:
    assert db.owner.value("select to_regclass('storage.objects') is null")
    assert db.owner.value("select to_regclass('public.checkin_photos') is not null")
