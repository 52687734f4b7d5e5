"""The session doors through supabase-js: exact shapes, exact statuses, and what two tabs do to each other."""

import uuid
from typing import Any

import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import Stack
from tests.clients.supabase_js import Answer


def value(answer: Answer) -> Any:
    """The scalar of a function's answer, which came with 200."""
    assert answer.status == 200, answer
    return answer.ok()


@pytest.mark.usefixtures("every_click_counts")
def test_an_empty_package_answers_false_not_an_error(kilo: Studio) -> None:
    package = kilo.sell()
    use = kilo.coach.rpc("use_session", {"p_purchase_id": package})
    assert [value(use.run()) for _ in range(4)] == [True, True, True, False]
    assert kilo.counter(package) == {"sessions_used": 3, "sessions_total": 3, "sessions_remaining": 0}


@pytest.mark.usefixtures("every_click_counts")
def test_a_release_answers_the_new_count_and_minus_one_for_nothing(kilo: Studio) -> None:
    package = kilo.sell()
    value(kilo.coach.rpc("use_session", {"p_purchase_id": package}).run())
    release = kilo.coach.rpc("release_session", {"p_purchase_id": package})
    assert [value(release.run()) for _ in range(2)] == [0, -1]
    assert kilo.ledger(package) == [("use", 1), ("release", -1)]


def test_clicks_of_one_person_within_the_window_are_one(kilo: Studio, stack: Stack) -> None:
    package = kilo.sell()
    other_tab = stack.sign_in(kilo.coach)
    clicks = [tab.rpc("use_session", {"p_purchase_id": package}) for tab in (kilo.coach.tab, other_tab) * 4]
    assert {value(answer) for answer in stack.driver.together(*clicks)} == {True}
    assert kilo.counter(package)["sessions_used"] == 1


def test_one_request_id_takes_one_session_through_any_number_of_tabs(kilo: Studio, stack: Stack) -> None:
    package = kilo.sell()
    click = {"p_purchase_id": package, "p_request_id": str(uuid.uuid4())}
    tabs = [kilo.coach.tab, stack.sign_in(kilo.coach)]
    answers = stack.driver.together(*(tab.rpc("use_session", click) for tab in tabs * 4))
    assert {value(answer) for answer in answers} == {True}
    assert kilo.ledger(package) == [("use", 1)]


def test_two_tabs_on_the_last_session_take_one(kilo: Studio, stack: Stack) -> None:
    package = kilo.sell(used=2)
    tabs = [kilo.coach.tab, stack.sign_in(kilo.coach)]
    clicks = [tab.rpc("use_session", {"p_purchase_id": package, "p_request_id": str(uuid.uuid4())}) for tab in tabs * 3]
    answers = [value(answer) for answer in stack.driver.together(*clicks)]
    assert sorted(answers) == [False] * 5 + [True]
    assert kilo.counter(package)["sessions_remaining"] == 0


def test_a_booking_holds_its_session(kilo: Studio) -> None:
    package = kilo.sell()
    kilo.book(package)
    remaining = kilo.coach.rpc("bookable_sessions_remaining", {"p_purchase_id": package})
    assert value(remaining.run()) == 2


def test_complete_booking_says_how_it_ended(kilo: Studio) -> None:
    package = kilo.sell()
    complete = kilo.coach.rpc("complete_booking", {"p_booking_id": kilo.book(package, ended=True)})
    assert [value(complete.run()) for _ in range(2)] == ["charged", "charged"]
    assert kilo.ledger(package) == [("use", 1)]


def test_the_calendars_two_requests_take_one_session(kilo: Studio) -> None:
    package = kilo.sell()
    booking = kilo.book(package, ended=True)
    complete = kilo.coach.from_("bookings").update({"status": "completed"}).eq("id", booking)
    assert complete.run().status == 204
    assert value(kilo.coach.rpc("use_session", {"p_purchase_id": package}).run()) is True

    refused = complete.run()
    assert refused.status == 409
    assert refused.error == {
        "code": "PT409",
        "details": "booking_not_confirmed",
        "message": "Only a confirmed booking can take this step.",
        "hint": "Reload the calendar.",
    }
    assert kilo.counter(package)["sessions_used"] == 1


def test_a_calendar_learns_that_a_check_in_has_paid(kilo: Studio) -> None:
    package = kilo.sell()
    booking = kilo.book(package, ended=True)
    value(kilo.coach.rpc("use_session", {"p_purchase_id": package, "p_booking_id": booking}).run())
    refused = kilo.coach.from_("bookings").update({"status": "completed"}).eq("id", booking).run()
    assert refused.refusal == (409, "booking_settled")
    assert value(kilo.coach.rpc("complete_booking", {"p_booking_id": booking}).run()) == "charged"
    assert kilo.ledger(package) == [("use", 1)]


def test_another_clients_booking_leaves_the_first_ones_package(kilo: Studio) -> None:
    package = kilo.sell()
    booking = kilo.book(package)
    other = (
        kilo.coach.from_("clients").insert({"org_id": kilo.id, "full_name": "Alex"}).select("id").single().run().ok()
    )
    moved = kilo.coach.from_("bookings").update({"client_id": other["id"]}).eq("id", booking).select("purchase_id")
    assert moved.single().run().ok() == {"purchase_id": None}
    assert value(kilo.coach.rpc("bookable_sessions_remaining", {"p_purchase_id": package}).run()) == 3


def test_two_tabs_that_load_the_calendar_take_one_session(kilo: Studio, stack: Stack) -> None:
    package = kilo.sell()
    booking = kilo.book(package, ended=True)
    tabs = [kilo.coach.tab, stack.sign_in(kilo.coach)]
    completions = [tab.from_("bookings").update({"status": "completed"}).eq("id", booking) for tab in tabs * 2]
    answers = stack.driver.together(*completions)
    assert sorted(answer.status or 0 for answer in answers) == [204, 409, 409, 409]
    # Each tab goes on to use_session only when its own completion was accepted.
    for tab, answer in zip(tabs * 2, answers, strict=True):
        if not answer.error:
            assert value(tab.rpc("use_session", {"p_purchase_id": package}).run()) is True
    assert kilo.ledger(package) == [("use", 1)]


def test_a_cancelled_booking_is_not_revived_by_a_calendar(kilo: Studio) -> None:
    booking = kilo.book(kilo.sell(), ended=True)
    table = kilo.coach.from_("bookings")
    table.update({"status": "cancelled"}).eq("id", booking).run().ok()
    refused = table.update({"status": "completed"}).eq("id", booking).run()
    assert refused.refusal == (409, "booking_not_confirmed")


@pytest.mark.usefixtures("every_click_counts")
def test_the_package_editor_corrects_by_the_ledger(kilo: Studio) -> None:
    package = kilo.sell()
    write = kilo.coach.from_("client_purchases")

    def save(used: int, total: int) -> Answer:
        edit = {"sessions_used": used, "sessions_total": total, "payment_status": "succeeded", "payment_method": "cash"}
        answer: Answer = write.update(edit).eq("id", package).select().single().run()
        return answer

    assert save(2, 5).ok()["sessions_remaining"] == 3
    assert kilo.ledger(package) == [("correction", 2)]
    assert save(6, 5).refusal == (422, "sessions_out_of_range")
    value(kilo.coach.rpc("use_session", {"p_purchase_id": package}).run())
    # The editor was opened before that session was taken, and sends what it showed.
    stale = save(2, 5)
    assert (stale.status, stale.ok()["sessions_used"]) == (200, 3)
    assert kilo.ledger(package) == [("correction", 2), ("use", 1)]


def test_what_the_app_adds_to_a_promo_codes_count_is_ignored(kilo: Studio) -> None:
    code = {"org_id": kilo.id, "code": "TEN", "discount_type": "percentage", "discount_value": 10, "is_active": True}
    row = kilo.coach.from_("promo_codes").insert({**code, "times_used": 0}).select().single().run().ok()
    sale = {"org_id": kilo.id, "client_id": kilo.client_id, "offer_id": kilo.offer_id, "promo_code_id": row["id"]}
    sale |= {"amount_paid_cents": 27000, "discount_cents": 3000, "sessions_total": 3, "payment_status": "succeeded"}
    kilo.coach.from_("client_purchases").insert(sale).run().ok()
    codes = kilo.coach.from_("promo_codes")
    assert codes.update({"times_used": 40}).eq("id", row["id"]).run().status == 204
    assert codes.select("times_used").eq("id", row["id"]).single().run().ok() == {"times_used": 1}


def test_a_sale_below_the_offers_price_is_refused(kilo: Studio) -> None:
    sale: dict[str, Any] = {"org_id": kilo.id, "client_id": kilo.client_id, "offer_id": kilo.offer_id}
    sale |= {"amount_paid_cents": 1, "sessions_total": 3, "payment_status": "succeeded"}
    refused = kilo.coach.from_("client_purchases").insert(sale).run()
    assert refused.refusal == (422, "sale_price_mismatch")


def test_a_package_with_history_is_not_deleted(kilo: Studio) -> None:
    package = kilo.sell(used=1)
    refused = kilo.coach.from_("client_purchases").delete().eq("id", package).run()
    assert refused.refusal == (409, "purchase_in_use")


@pytest.mark.usefixtures("every_click_counts")
def test_a_frozen_package_answers_false_until_it_is_unfrozen(kilo: Studio) -> None:
    package = kilo.sell()
    arguments = {"p_purchase_id": package}
    value(kilo.coach.rpc("freeze_package", arguments).run())
    assert value(kilo.coach.rpc("use_session", arguments).run()) is False
    value(kilo.coach.rpc("unfreeze_package", arguments).run())
    assert value(kilo.coach.rpc("use_session", arguments).run()) is True


def test_undo_completion_gives_the_session_back(kilo: Studio) -> None:
    package = kilo.sell()
    booking = kilo.book(package, ended=True)
    value(kilo.coach.rpc("complete_booking", {"p_booking_id": booking}).run())
    assert value(kilo.coach.rpc("undo_completion", {"p_booking_id": booking}).run()) == 0
    assert kilo.ledger(package) == [("use", 1), ("release", -1)]
