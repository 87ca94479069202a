"""How a patient comes to be, and what counts as a National ID.

No message, log or error here holds a number, a name or a date: refusals say what is wrong and what to do.
"""

import csv
import datetime as dt
import re
import unicodedata
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from passport import standing
from passport.audit import record_event
from passport.models import Consent, Link, Patient, PatientIdentifier, PlaceholderNumber, User
from passport.models.links import LinkState
from passport.models.patients import Sex

MIN_LENGTH = 3
MAX_LENGTH = 50
COLUMNS = ("national_id", "given_name", "family_name", "birth_date", "sex")
OPTIONAL_COLUMNS = ("email", "phone", "consent")
# What a spreadsheet makes of a long number: 1.19978E+15. Its last digits are lost, so it leads to someone else.
_ROUNDED = re.compile(r"\s*\d+[.,]\d+\s*[eE]\s*\+?\d+\s*")


class RegistrationRefused(ValueError):
    """Somebody cannot be registered as given. `kind` is stable; the message ends in the next step."""

    kind = "refused"


class NumberInvalid(RegistrationRefused):
    kind = "number_invalid"

    def __init__(self) -> None:
        super().__init__(
            f"The National ID must have {MIN_LENGTH} to {MAX_LENGTH} letters and digits that are not all the same. "
            "Check it on the card."
        )


class NumberRounded(RegistrationRefused):
    kind = "number_rounded"

    def __init__(self) -> None:
        super().__init__("The National ID was rounded by a spreadsheet. Format that column as text and export again.")


class NumberIsPlaceholder(RegistrationRefused):
    kind = "number_is_placeholder"

    def __init__(self) -> None:
        super().__init__(
            "The National ID is on the list of placeholders, which stand for no number. Ask for the real one."
        )


class NumberDoesNotFit(RegistrationRefused):
    kind = "number_does_not_fit"

    def __init__(self) -> None:
        super().__init__("The National ID does not look like one of this country. Check it on the card.")


class NumberTaken(RegistrationRefused):
    kind = "number_taken"

    def __init__(self) -> None:
        super().__init__("This National ID leads to another patient already. Find out whose it is first.")


class PassportMerged(RegistrationRefused):
    kind = "passport_merged"

    def __init__(self) -> None:
        super().__init__("This passport was merged into another. Give the number to that one.")


class ConsentMissing(RegistrationRefused):
    kind = "consent_missing"

    def __init__(self) -> None:
        super().__init__("Nobody is registered without consent. Ask for it and say how it was given.")


class FieldInvalid(RegistrationRefused):
    """`field_name` says which one; its value is not repeated."""

    kind = "field_invalid"
    remedies = {
        "given_name": "must have at most 100 characters.",
        "family_name": "must have at most 100 characters.",
        "birth_date": "must be a day that has been, written as YYYY-MM-DD.",
        "sex": "must be M, F, O or U.",
        "email": "must be an e-mail address.",
        "phone": "must have at most 30 characters.",
        "consent": "must be paper, spoken, online or empty.",
    }

    def __init__(self, field_name: str) -> None:
        self.field_name = field_name
        super().__init__(f"{field_name} {self.remedies[field_name]}")


class FileUnusable(ValueError):
    """The file as a whole cannot be read: bad arguments, not a bad line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    patient: Patient
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine:
    line: int
    reason: str


@dataclass(slots=True, kw_only=True)
class FileReport:
    n_created: int = 0
    n_known: int = 0
    refused: list[RefusedLine] = field(default_factory=list)


def normalise_national_id(text: str) -> str | None:
    """The number as we compare it, or None when it counts as no number.

    NFKC, upper case, letters and digits only, leading zeros kept, 3 to 50 characters, not one repeated character.
    Normalising twice changes nothing. The admin's placeholders are `placeholder_numbers`.
    """
    # Almost all of a hospital's million identifiers are plain: this way is five times faster.
    number = text.upper() if text.isascii() and text.isalnum() else _letters_and_digits(text)
    if not MIN_LENGTH <= len(number) <= MAX_LENGTH or number.count(number[0]) == len(number):
        return None
    return number


def _letters_and_digits(text: str) -> str:
    # Leaving something out can bring together what NFKC then composes, so until nothing moves.
    while True:
        upper = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
        cleaned = "".join(char for char in upper if char.isalpha() or char.isdecimal())
        if cleaned == text:
            return cleaned
        text = cleaned


def placeholder_numbers() -> frozenset[str]:
    """The admin's list of numbers that stand for "no number", normalised."""
    return frozenset(PlaceholderNumber.objects.values_list("number", flat=True))


def fits_pattern(number: str) -> bool:
    """Whether a normalised number looks as `NATIONAL_ID_PATTERN` wants it; always, where there is no pattern."""
    return not settings.NATIONAL_ID_PATTERN or bool(re.fullmatch(settings.NATIONAL_ID_PATTERN, number))


def acceptable_number(national_id: str) -> str:
    """The normalised number. Raises the RegistrationRefused that says why it cannot be a passport's number."""
    if _ROUNDED.fullmatch(national_id):
        raise NumberRounded
    number = normalise_national_id(national_id)
    if number is None:
        raise NumberInvalid
    if PlaceholderNumber.objects.filter(number=number).exists():
        raise NumberIsPlaceholder
    if not fits_pattern(number):
        raise NumberDoesNotFit
    return number


def find_patient(*, national_id: str) -> Patient | None:
    """The patient whose number this is. For `access` and `registration`: having found someone is no right to read."""
    number = normalise_national_id(national_id)
    if number is None:
        return None
    return Patient.objects.filter(identifiers__number=number).first()


def register_patient(
    *,
    national_id: str,
    actor: User | None,
    now: dt.datetime,
    given_name: str = "",
    family_name: str = "",
    birth_date: dt.date | None = None,
    sex: str = Sex.UNKNOWN,
    email: str = "",
    phone: str = "",
    consent: str = "",
) -> Registered:
    """Make a passport for this number: the only way a Patient comes to be.

    A known number is left as it is: what is stored may have been corrected since the caller's list was written.
    `consent`: how it was given (a `Consent.How`); a new passport without one is refused where REQUIRE_CONSENT says so.
    Raises RegistrationRefused. The engine finds the patient's persons at its next look.
    """
    number = acceptable_number(national_id)
    patient = Patient(
        given_name=given_name.strip(),
        family_name=family_name.strip(),
        birth_date=birth_date,
        sex=sex or Sex.UNKNOWN,
        email=email.strip(),
        phone=phone.strip(),
        created_at=now,
    )
    check_fields(patient, now=now)
    if consent and consent not in Consent.How.values:
        raise FieldInvalid("consent")
    known = find_patient(national_id=number)
    if known is None:
        if settings.REQUIRE_CONSENT and not consent:
            raise ConsentMissing
        try:
            with transaction.atomic():
                patient.save(force_insert=True)
                PatientIdentifier.objects.create(patient=patient, number=number, created_at=now)
                if consent:
                    standing.record_consent(patient=patient, how=consent, actor=actor, now=now)
                record_event(action="patient_registered", actor=actor, now=now, patient_id=patient.pk)
        except IntegrityError:
            # Somebody else registered the same number in the meantime.
            known = Patient.objects.get(identifiers__number=number)
    return Registered(patient=known or patient, created=known is None)


def add_identifier(*, patient: Patient, national_id: str, actor: User | None, now: dt.datetime) -> PatientIdentifier:
    """Give the patient one more number, such as a reissued one. Having it already is fine.

    Raises RegistrationRefused; NumberTaken when it is another patient's, PassportMerged when this passport ended: whom
    the number leads to would be shown where nobody looks any more.
    """
    number = acceptable_number(national_id)
    with transaction.atomic():
        if standing.who_took_over(patient.pk) != patient.pk:
            raise PassportMerged
        identifier, created = PatientIdentifier.objects.get_or_create(
            number=number, defaults={"patient": patient, "created_at": now}
        )
        if identifier.patient_id != patient.pk:
            raise NumberTaken
        if created:
            record_event(action="identifier_added", actor=actor, now=now, patient_id=patient.pk)
    return identifier


def correct_identifier(
    *, identifier: PatientIdentifier, national_id: str, keeps_old: bool, actor: User | None, now: dt.datetime
) -> PatientIdentifier:
    """Put another number in the place of one that was wrong. `keeps_old`: it stays as an alias, else it is free again.

    What is linked to the patient is hidden in this commit, until the next look at each hospital judges it anew: it may
    have been found by the number that was wrong. Raises RegistrationRefused.
    """
    patient = identifier.patient
    with transaction.atomic():
        new = add_identifier(patient=patient, national_id=national_id, actor=actor, now=now)
        if new.pk == identifier.pk:
            return new
        if not keeps_old:
            PatientIdentifier.objects.filter(pk=identifier.pk).delete()
        n_held = hold_links(patient=patient, reason="number_corrected", now=now)
        record_event(
            action="identifier_corrected",
            actor=actor,
            now=now,
            patient_id=patient.pk,
            basis="kept_as_alias" if keeps_old else "freed",
            details={"old": identifier.pk, "new": new.pk, "held": n_held},
        )
    return new


def hold_links(*, patient: Patient, reason: str, now: dt.datetime, person_uuids: Collection[str] | None = None) -> int:
    """Hide what is linked to this patient until the next look at each hospital judges it anew; returns how many.

    `person_uuids`: of these persons alone.
    """
    mine = Link.objects.filter(patient=patient, state=LinkState.LINKED)
    return (mine if person_uuids is None else mine.filter(person_uuid__in=person_uuids)).update(
        state=LinkState.HELD,
        reason=reason,
        candidates=[str(patient.pk)],
        state_changed_at=now,
        marks=F("marks") + 1,
        stale_since=Coalesce("stale_since", now),
        next_try_at=None,
    )


def judge_again(*, patient: Patient, now: dt.datetime) -> int:
    """What speaks against a match has changed: the matcher looks at all the patient's links again. Returns how many."""
    mine = Link.objects.filter(patient=patient, state=LinkState.LINKED)
    return mine.update(marks=F("marks") + 1, stale_since=Coalesce("stale_since", now), next_try_at=None)


def register_file(*, path: Path, actor: User | None, now: dt.datetime) -> FileReport:
    """Register every line of a CSV file that can be; the others are in the report by line number.

    Header: national_id, given_name, family_name, birth_date, sex and perhaps email, phone, consent; UTF-8, commas.
    Each line is kept by itself, so the same file again adds only what was corrected. Raises FileUnusable.
    """
    report = FileReport()
    for line in _lines(path):
        try:
            registered = _register_line(line, actor=actor, now=now)
        except RegistrationRefused as error:
            report.refused.append(RefusedLine(line=line.number, reason=str(error)))
        else:
            report.n_created += registered.created
            report.n_known += not registered.created
    record_event(
        action="patients_registered_from_file",
        actor=actor,
        now=now,
        details={"created": report.n_created, "known": report.n_known, "refused": len(report.refused)},
    )
    return report


class LineUnreadable(RegistrationRefused):
    kind = "line_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line that is not blank: the number it begins on, its cells by column, or what is wrong with it as a whole."""

    number: int
    cells: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def _register_line(line: _Line, *, actor: User | None, now: dt.datetime) -> Registered:
    if line.problem:
        raise LineUnreadable(line.problem)
    cells = {column: cell.strip() for column, cell in line.cells.items()}
    return register_patient(
        national_id=cells["national_id"],
        given_name=cells["given_name"],
        family_name=cells["family_name"],
        birth_date=_day(cells["birth_date"]),
        sex=cells["sex"].upper(),
        email=cells.get("email", ""),
        phone=cells.get("phone", ""),
        consent=cells.get("consent", "").lower(),
        actor=actor,
        now=now,
    )


def _lines(path: Path) -> Iterator[_Line]:
    try:
        # surrogateescape: bytes that are not UTF-8 spoil their own line only.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _body(file)
    except OSError as error:
        raise FileUnusable(f"The file cannot be read: {error.strerror}. Check its name and rights.") from error


def _body(file: Iterable[str]) -> Iterator[_Line]:
    columns: list[str] = []
    number, again, coming = 1, deque[str](), iter(file)
    while True:
        used: list[str] = []
        cells, problem = _record(columns, _noted(again, coming, used))
        if not used:
            break
        if problem:
            # A quotation mark left open took in the lines after it: they are read again, each by itself.
            again.extendleft(reversed(used[1:]))
            del used[1:]
        if problem or (columns and any(cell.strip() for cell in cells)):
            yield _Line(number=number, cells=dict(zip(columns, cells, strict=False)), problem=problem)
        elif not columns:
            columns = _header(cells)
        number += len(used)
    if not columns:
        _header([])


def _record(columns: list[str], lines: Iterator[str]) -> tuple[list[str], str]:
    """The cells of the next record, which may be several lines long, and what is wrong with it as a whole."""
    try:
        cells = next(csv.reader(lines, strict=True), [])
    except csv.Error:
        return [], "The line is no CSV. Check its quotation marks."
    return cells, _problem(columns, cells) if columns and any(cell.strip() for cell in cells) else ""


def _noted(again: deque[str], coming: Iterator[str], used: list[str]) -> Iterator[str]:
    """The lines to read again, then the coming ones; each that is taken is added to `used`."""
    while (line := again.popleft() if again else next(coming, None)) is not None:
        used.append(line)
        yield line


def _header(cells: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    allowed = {*COLUMNS, *OPTIONAL_COLUMNS}
    if len(set(columns)) != len(columns) or not set(COLUMNS) <= set(columns) <= allowed:
        raise FileUnusable(
            f"The first line must be: {','.join(COLUMNS)} and, if wished, {','.join(OPTIONAL_COLUMNS)}; "
            "separated by commas."
        )
    return columns


def _problem(columns: list[str], cells: list[str]) -> str:
    if len(cells) != len(columns):
        return f"The line must have {len(columns)} fields, as the first line has."
    if any("\ud800" <= char <= "\udfff" for cell in cells for char in cell):
        return "The line is not UTF-8. Export the file as UTF-8."
    return ""


def _day(text: str) -> dt.date | None:
    if not text:
        return None
    # fromisoformat alone would take 20010203 and 2001-W05-6 too.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise FieldInvalid("birth_date")
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise FieldInvalid("birth_date") from None


def check_fields(patient: Patient, *, now: dt.datetime) -> None:
    """Raises FieldInvalid for the first field that cannot be stored or cannot be true."""
    texts = {name: getattr(patient, name) for name in ("given_name", "family_name", "email", "phone")}
    for name, text in texts.items():
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
            raise FieldInvalid(name)
    if patient.birth_date and not dt.date(1850, 1, 1) <= patient.birth_date <= _latest_day(now):
        raise FieldInvalid("birth_date")
    try:
        patient.clean_fields(exclude={"user"})
    except ValidationError as error:
        raise FieldInvalid(next(iter(error.message_dict))) from None


def _latest_day(now: dt.datetime) -> dt.date:
    """The latest calendar day that has begun anywhere in the world."""
    return now.astimezone(dt.timezone(dt.timedelta(hours=14))).date()
