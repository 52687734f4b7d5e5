"""A coach signs up with supabase-js alone, as the existing app does, and belongs to more than one organisation."""

import uuid

from tests.clients.conftest import Studio, found
from tests.clients.stack import Stack


def test_the_apps_sequence_makes_an_organisation(stack: Stack) -> None:
    coach = stack.sign_up("mike")
    slug = f"mike-{uuid.uuid4().hex[:8]}"
    made = coach.from_("orgs").insert({"name": "Mike's", "slug": slug}).select().single().run()
    org = made.ok()
    assert made.status == 201
    assert {"id", "name", "slug", "commission_rate", "onboarding_completed", "created_at"} <= set(org)
    assert (org["name"], org["slug"], org["onboarding_completed"]) == ("Mike's", slug, False)

    joined = coach.from_("org_members").insert({"org_id": org["id"], "user_id": coach.id, "role": "owner"}).run()
    dressed = coach.from_("branding").insert({"org_id": org["id"], "display_name": "Mike's"}).run()
    set_up = coach.from_("booking_settings").insert({"org_id": org["id"], "timezone": "Europe/Lisbon"}).run()
    assert [answer.status for answer in (joined, dressed, set_up)] == [201, 201, 201]

    member = coach.from_("org_members").select("org_id, orgs(id, name, slug)").eq("user_id", coach.id).single().run()
    assert member.ok() == {"org_id": org["id"], "orgs": {"id": org["id"], "name": "Mike's", "slug": slug}}
    finished = coach.from_("orgs").update({"onboarding_completed": True}).eq("id", org["id"]).run()
    assert finished.status == 204


def test_nothing_is_made_that_the_app_inserts_itself(stack: Stack) -> None:
    coach = stack.sign_up("november")
    insert = coach.from_("orgs").insert({"name": "November", "slug": f"november-{uuid.uuid4().hex[:8]}"})
    org = insert.select().single().run().ok()["id"]
    for table in ("org_members", "branding", "booking_settings"):
        assert stack.value(f"select count(*) from public.{table} where org_id = %s", org) == 0


def test_nobody_joins_an_organisation_of_others(stack: Stack, kilo: Studio) -> None:
    stranger = stack.sign_up("stranger")
    row = {"org_id": kilo.id, "user_id": stranger.id, "role": "owner"}
    refused = stranger.from_("org_members").insert(row).run()
    assert refused.refusal == (403, "membership_by_invitation")
    assert stack.value("select count(*) from public.org_members where org_id = %s", kilo.id) == 1


def test_org_members_is_single_for_a_person_of_two_organisations(stack: Stack) -> None:
    first = found(stack, "oscar")
    coach = first.coach
    slug = f"papa-{uuid.uuid4().hex[:8]}"
    second = coach.from_("orgs").insert({"name": "Papa", "slug": slug}).select().single().run().ok()["id"]
    coach.from_("org_members").insert({"org_id": second, "user_id": coach.id, "role": "owner"}).run().ok()

    def active() -> str:
        row = coach.from_("org_members").select("org_id").eq("user_id", coach.id).single().run().ok()
        return str(row["org_id"])

    assert active() == second, "the organisation just made is the active one"
    switched = coach.rpc("switch_org", {"p_org_id": first.id}).run()
    assert (switched.status, switched.ok()) == (200, first.id)
    assert active() == first.id
    # Rights come from membership, not from which organisation is shown.
    assert coach.from_("orgs").select("id").eq("id", second).single().run().ok() == {"id": second}


def test_a_person_switches_to_their_own_organisations_alone(kilo: Studio, lima: Studio) -> None:
    refused = kilo.coach.rpc("switch_org", {"p_org_id": lima.id}).run()
    assert refused.refusal == (404, "org_not_found")
