"""What counts as a National ID, and how a patient comes to be."""

import datetime as dt
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from passport import registration
from passport.models import AuditEvent, Patient, PatientIdentifier, PlaceholderNumber
from passport.registration import normalise_national_id, register_file, register_patient

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)
NUMBER = "1199780012345678"
SECRET = "Mukamana"
HEADER = "national_id,given_name,family_name,birth_date,sex"


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    """T75"""
    number = normalise_national_id(text)
    assert number is None or normalise_national_id(number) == number


@given(st.text(max_size=60))
def test_a_number_has_letters_and_digits_only(text: str) -> None:
    number = normalise_national_id(text)
    assert number is None or all(unicodedata.category(char)[0] == "L" or char.isdecimal() for char in number)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_the_fast_way_says_what_the_slow_way_says(text: str) -> None:
    slow = registration._letters_and_digits(text)
    is_number = 3 <= len(slow) <= 50 and len(set(slow)) > 1
    assert normalise_national_id(text) == (slow if is_number else None)


@pytest.mark.parametrize(
    "written",
    [
        "1199 7800 1234 5678",
        "1-1997-8-0012345-6-78",
        "'1199780012345678",
        "\u00a01199780012345678\u200b",
        "１１９９７８００１２３４５６７８",
        "\ufeff1199780012345678\r\n",
    ],
)
def test_every_writing_of_a_number_is_one_number(written: str) -> None:
    """T75"""
    assert normalise_national_id(written) == NUMBER


@pytest.mark.parametrize(
    "text, number",
    [
        ("0012345", "0012345"),
        ("ab12cd", "AB12CD"),
        ("1l1", "1L1"),
        ("", None),
        ("12", None),
        ("1-2", None),
        ("0000000", None),
        ("aAaA", None),
        ("1 1 1 1", None),
        ("x" * 49 + "y", "X" * 49 + "Y"),
        ("x" * 50 + "y", None),
        ("\x00123", "123"),
    ],
)
def test_what_counts_as_a_number(text: str, number: str | None) -> None:
    assert normalise_national_id(text) == number


@pytest.mark.django_db
def test_a_patient_comes_to_be_with_a_number_and_an_audit_row() -> None:
    registered = register_patient(
        national_id="1199 7800 1234 5678",
        given_name=" Aline ",
        family_name=SECRET,
        birth_date=dt.date(1978, 5, 6),
        sex="F",
        email="a@example.org",
        phone="0788",
        actor=None,
        now=NOW,
    )
    patient = Patient.objects.get()
    assert registered == registration.Registered(patient=patient, created=True)
    assert (patient.given_name, patient.family_name, patient.sex) == ("Aline", SECRET, "F")
    assert PatientIdentifier.objects.get().number == NUMBER
    event = AuditEvent.objects.get()
    assert (event.action, event.patient_id, event.details) == ("patient_registered", patient.pk, {})


@pytest.mark.django_db
def test_a_known_number_is_left_as_it_is() -> None:
    first = register_patient(national_id=NUMBER, given_name="Aline", actor=None, now=NOW)
    again = register_patient(national_id=f" {NUMBER}", given_name="Other", actor=None, now=NOW)
    assert (again.patient, again.created) == (first.patient, False)
    assert Patient.objects.get().given_name == "Aline"
    assert AuditEvent.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "national_id, kind",
    [
        ("12", "number_invalid"),
        ("x1" * 26, "number_invalid"),
        ("1111111111", "number_invalid"),
        ("9999-00", "number_is_placeholder"),
        ("1.19978E+15", "number_rounded"),
        ("1,19978e15", "number_rounded"),
        ("AB123", "number_does_not_fit"),
    ],
)
def test_a_number_that_is_none_is_refused_and_not_repeated(national_id: str, kind: str, settings: object) -> None:
    """T49"""
    settings.NATIONAL_ID_PATTERN = "[0-9]{6,16}"  # type: ignore[attr-defined]
    PlaceholderNumber.objects.create(number="999900")
    with pytest.raises(registration.RegistrationRefused) as refusal:
        register_patient(national_id=national_id, actor=None, now=NOW)
    assert refusal.value.kind == kind
    assert national_id not in str(refusal.value)
    assert not Patient.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "field, value",
    [
        ("given_name", "x" * 101),
        ("family_name", "a\x00b"),
        ("birth_date", dt.date(2026, 3, 6)),
        ("birth_date", dt.date(1777, 1, 1)),
        ("sex", "X"),
        ("email", "nobody"),
        ("phone", "1" * 31),
    ],
)
def test_a_field_that_cannot_be_is_named_and_not_repeated(field: str, value: object) -> None:
    with pytest.raises(registration.FieldInvalid) as refusal:
        register_patient(national_id=NUMBER, actor=None, now=NOW, **{field: value})
    assert refusal.value.field_name == field
    assert str(value) not in str(refusal.value)


@pytest.mark.django_db
def test_a_patient_may_have_a_second_number() -> None:
    patient = register_patient(national_id=NUMBER, actor=None, now=NOW).patient
    for _ in range(2):
        registration.add_identifier(patient=patient, national_id="AB 77 00", actor=None, now=NOW)
    assert registration.find_patient(national_id="ab7700") == patient
    assert AuditEvent.objects.filter(action="identifier_added").count() == 1


@pytest.mark.django_db
def test_another_patients_number_cannot_be_added() -> None:
    register_patient(national_id=NUMBER, actor=None, now=NOW)
    other = register_patient(national_id="AB7700", actor=None, now=NOW).patient
    with pytest.raises(registration.NumberTaken):
        registration.add_identifier(patient=other, national_id=NUMBER, actor=None, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_two_desks_that_register_one_number_at_once_make_one_patient() -> None:
    start = threading.Barrier(4)

    def desk(_: int) -> bool:
        try:
            start.wait()
            return register_patient(national_id=NUMBER, actor=None, now=NOW).created
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as desks:
        assert sorted(desks.map(desk, range(4))) == [False, False, False, True]
    assert Patient.objects.count() == 1


# --- files ------------------------------------------------------------------------------------------------------------


def write(folder: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "patients.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


@pytest.mark.django_db
def test_the_good_lines_of_a_file_are_registered_and_the_bad_ones_named_by_number(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{NUMBER},Aline,{SECRET},1978-05-06,F",
        "12,A,B,,",
        "",
        f"1199780012345679,{SECRET},,1978-5-6,F",
        "1199780012345680,A,B,20010203,F",
        "1199780012345681,A,B,2001-02-30,F",
        "1199780012345682,A,B,,Q",
        "1199780012345683,A,B,",
        "1199780012345684,A,B,,,x",
        "1199780012345685,,,,",
        f"{NUMBER},Other,Name,,",
        "1199780012345686,a,b,,m",
    )
    report = register_file(path=path, actor=None, now=NOW)
    assert (report.n_created, report.n_known) == (3, 1)
    assert [refused.line for refused in report.refused] == [3, 5, 6, 7, 8, 9, 10]
    said = " ".join(refused.reason for refused in report.refused)
    assert not any(word in said for word in (SECRET, "1199", "2001", "Q,"))
    event = AuditEvent.objects.get(action="patients_registered_from_file")
    assert event.details == {"created": 3, "known": 1, "refused": 7}


@pytest.mark.django_db
def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, f"{NUMBER},Aline,{SECRET},1978-05-06,F", "AB1234,B,C,,")
    register_file(path=path, actor=None, now=NOW)
    before = list(Patient.objects.order_by("pk").values())
    report = register_file(path=path, actor=None, now=NOW + dt.timedelta(days=1))
    assert (report.n_created, report.n_known, report.refused) == (0, 2, [])
    assert list(Patient.objects.order_by("pk").values()) == before


@pytest.mark.django_db
def test_a_file_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    header = "sex,phone,National_ID ,given_name,family_name,birth_date"
    path = write(tmp_path, 'F,"0788, 0799",AB1234,Émilie,"Du ""Pont""",', header=header, encoding="utf-8-sig")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert register_file(path=path, actor=None, now=NOW).n_created == 1
    patient = Patient.objects.get()
    assert (patient.given_name, patient.family_name, patient.phone) == ("Émilie", 'Du "Pont"', "0788, 0799")


@pytest.mark.django_db
def test_bytes_that_are_not_utf8_spoil_their_own_line_only(tmp_path: Path) -> None:
    path = write(tmp_path, "AB1234,Émilie,B,,", encoding="latin-1")
    path.write_bytes(path.read_bytes() + b"AB1235,Anne,B,,\n")
    report = register_file(path=path, actor=None, now=NOW)
    assert (report.n_created, [refused.line for refused in report.refused]) == (1, [2])


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["AB1238,D,E,,", 'AB1238,"D",E,,', 'AB1238,D,E,,"'])
def test_a_quotation_mark_left_open_spoils_its_own_line_only(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, "AB1235,A,B,,", 'AB1236,"A,B,,', "AB1237,C,D,,", "", end, "AB1239,E,F,,")
    report = register_file(path=path, actor=None, now=NOW)
    is_bad_too = end.endswith('"')
    assert [refused.line for refused in report.refused] == ([3, 6] if is_bad_too else [3])
    assert report.n_created == (3 if is_bad_too else 4)


@pytest.mark.django_db
def test_many_open_quotation_marks_are_each_named(tmp_path: Path) -> None:
    path = write(tmp_path, *(f'AB{n},"A,B,,' for n in range(3000)))
    report = register_file(path=path, actor=None, now=NOW)
    assert [refused.line for refused in report.refused] == list(range(2, 3002))


@pytest.mark.django_db
def test_a_field_over_two_lines_is_counted_by_the_line_it_begins_on(tmp_path: Path) -> None:
    report = register_file(path=write(tmp_path, 'AB1234,"A\nB",C,,', "12,,,,"), actor=None, now=NOW)
    assert [refused.line for refused in report.refused] == [2, 4]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header",
    [
        "",
        "national_id;given_name;family_name;birth_date;sex",
        "national_id,given_name",
        HEADER + ",height",
        HEADER + ",sex",
    ],
)
def test_a_file_with_another_header_is_refused_whole(tmp_path: Path, header: str) -> None:
    with pytest.raises(registration.FileUnusable):
        register_file(path=write(tmp_path, "AB1234,,,,", header=header), actor=None, now=NOW)
    assert not Patient.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(registration.FileUnusable, match="cannot be read"):
        register_file(path=tmp_path / name, actor=None, now=NOW)
