"""private.e164 beside Google's own library: the same reading of every region's numbers, in each form people write."""

import phonenumbers
import pytest
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType
from tests.harness.database import Database

# Dialled at home an Argentine mobile number hides its 9 behind a 15, and a Vietnamese landline is longer than any
# mobile number there: they are read as none rather than as another.
UNREAD_AT_HOME = {("AR", PhoneNumberType.MOBILE), ("VN", PhoneNumberType.FIXED_LINE)}
# Where mobile numbers have several lengths, the shorter ones with their country's code are as long as the longer.
UNCLEAR_WITHOUT_PLUS = {"AD", "AT", "ID", "MM", "NL", "PM", "TK", "WS"}
KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)


def examples() -> list[tuple[str, int, PhoneNumber]]:
    return [
        (region, kind, number)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in KINDS
        if (number := phonenumbers.example_number_for_type(region, kind))
    ]


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def read(db: Database, written: list[tuple[str, str]]) -> list[str | None]:
    """What private.e164 makes of numbers with their regions."""
    return db.owner.values(
        """select private.e164(w.phone, w.region)
             from unnest(%s::text[], %s::text[]) with ordinality as w (region, phone, n) order by w.n""",
        ([region for region, _ in written], [phone for _, phone in written]),
    )


def test_regions_are_those_of_the_library(db: Database) -> None:
    ours = {row["region"]: row for row in db.owner.rows("select * from private.phone_regions")}
    assert ours.keys() == set(phonenumbers.SUPPORTED_REGIONS)
    for region, row in ours.items():
        assert row["calling_code"] == str(phonenumbers.country_code_for_region(region)), region
        mobile = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if mobile:
            assert len(phonenumbers.national_significant_number(mobile)) <= row["mobile_digits"], region


@pytest.mark.parametrize("form", [PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL])
def test_a_number_is_read_as_the_library_reads_it(db: Database, form: int) -> None:
    cases = [case for case in examples() if form != PhoneNumberFormat.NATIONAL or case[:2] not in UNREAD_AT_HOME]
    written = [(region, phonenumbers.format_number(number, form)) for region, _, number in cases]
    wrong = {
        text: (region, got, e164(number))
        for (region, text), got, (_, _, number) in zip(written, read(db, written), cases, strict=True)
        if got != e164(number)
    }
    assert wrong == {}


def test_a_number_is_read_anywhere_in_its_international_forms(db: Database) -> None:
    """From an Australian organisation: with its plus, with the two ways to dial abroad, and with a zero in brackets."""
    numbers = [number for _, _, number in examples()]
    for form in ("+{code} {national}", "00{code}{national}", "0011 {code} {national}"):
        written = [("AU", form.format(code=n.country_code, national=national(n))) for n in numbers]
        assert read(db, written) == [e164(n) for n in numbers], form
    bracketed = [n for region, _, n in examples() if home_prefix(region) == "0"]
    assert len(bracketed) > 100
    written = [("AU", f"+{n.country_code} (0){national(n)}") for n in bracketed]
    assert read(db, written) == [e164(n) for n in bracketed]


def test_a_mobile_number_with_its_country_but_no_plus(db: Database) -> None:
    cases = [(region, n) for region, kind, n in examples() if kind == PhoneNumberType.MOBILE]
    got = read(db, [(region, e164(n)[1:]) for region, n in cases])
    unread = {region for (region, n), value in zip(cases, got, strict=True) if value != e164(n)}
    assert sorted(unread) == sorted(UNCLEAR_WITHOUT_PLUS)


def test_what_was_unread_is_none_not_another(db: Database) -> None:
    unread = [(region, number) for region, kind, number in examples() if (region, kind) in UNREAD_AT_HOME]
    written = [(region, phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)) for region, number in unread]
    assert read(db, written) == [None] * len(UNREAD_AT_HOME)


def home_prefix(region: str) -> str | None:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return metadata.national_prefix if metadata else None


def national(number: PhoneNumber) -> str:
    return phonenumbers.national_significant_number(number)
