"""Records as lines of a page: what stands where, in which words. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from passport.history import RecordView, Standing, Stated
from passport.history.shapes import LONGEST_TEXT
from passport.history.words import fold
from passport.models.record import Category
from passport.templatetags.pages import clock, figure, short_day
from passport.views import doses, words
from passport.views.plain import NO_WORDS, PlainWords, heading
from passport.views.units import as_people_write

#: A name or value longer than this gets a line of its own.
LONGEST_NAME_BESIDE, LONGEST_VALUE_BESIDE = 60, 40
#: A name is cut here; the record's own page has it in full.
LONGEST_NAME = 160
#: Conditions, and medicines, of the overview.
LONGEST_STATED = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where the pages of one record are: the patient's own, or `/patients/<our id>/…` for a doctor."""

    patient_id: UUID | None = None

    def _address(self, name: str, *rest: str) -> str:
        return _address_of(name, self.patient_id, *rest)

    @property
    def overview(self) -> str:
        return self._address("overview")

    @property
    def history(self) -> str:
        return self._address("history")

    @property
    def results(self) -> str:
        return self._address("results")

    @property
    def medicines(self) -> str:
        return self._address("medicines")

    @property
    def version(self) -> str:
        return self._address("version")

    @property
    def is_own(self) -> bool:
        return self.patient_id is None

    def record(self, key: str) -> str:
        return self._address("record", _ANY_KEY).replace(_ANY_KEY, key)

    @property
    def corrections(self) -> str:
        return self._address("corrections")

    def correction(self, key: str) -> str:
        return self._address("correction", _ANY_KEY).replace(_ANY_KEY, key)

    def withdraw_correction(self, request_id: UUID) -> str:
        return self._address("withdraw_correction", _ANY_ID).replace(_ANY_ID, str(request_id))

    def trend(self, key: str) -> str:
        return self._address("trend", _ANY_KEY).replace(_ANY_KEY, key)


#: A key that no record has, and an id that nothing has: to be replaced in an address that is made once.
_ANY_KEY = "000000x0000000000"
_ANY_ID = str(UUID(int=0))


@lru_cache(maxsize=1000)
def _address_of(name: str, patient_id: UUID | None, *rest: str) -> str:
    """Kept for as long as the process lives: Django takes its time to make an address."""
    if patient_id is None:
        return reverse("home" if name == "overview" else f"own_{name}", args=rest)
    return reverse(f"patient_{name}", args=[patient_id, *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record on a page."""

    url: str
    name: str
    value: str
    unit: str
    is_long: bool
    is_cut: bool
    flag: str  # the class of its colour; empty: nothing is known
    flag_words: str
    about: Sequence[str]
    parts: Sequence[tuple[str, str]]  # qualifiers: (name, value)
    is_withdrawn: bool
    withdrawn_words: str
    when: str
    own_name: str = ""  # the hospital's, where the name is in plain words; of a medicine the plain words
    own_value: str = ""
    is_hidden: bool = False  # kept from doctors and carers; whoever reads this sees it all the same
    is_new: bool = False  # came in, or changed, since the reader was here last
    also_held_by: str = ""  # hospitals whose cloned database holds it too
    earlier: "Sequence[Line]" = ()  # what stood here before, withdrawn


def line(
    record: RecordView,
    *,
    pages: Pages,
    qualifiers: Sequence[RecordView] = (),
    with_day: bool = False,
    with_hospital: bool = False,
    plain: PlainWords = NO_WORDS,
) -> Line:
    name, value = _named(record)
    plain_name, own_name = _plain_name(record, name, plain)
    plain_value, own_value = _plain_value(record, value, plain)
    is_cut = len(value) > LONGEST_TEXT
    is_withdrawn = record.status == "withdrawn"
    about = list(_about(record))
    if with_hospital:
        about.append(record.hospital_name)
    if with_day:
        about.append(short_day(record.date))
    return Line(
        url=pages.record(record.id),
        name=_shortened(plain_name) or _("Entry without a name"),
        value=f"{value[:LONGEST_TEXT]}…" if is_cut else plain_value,
        unit=as_people_write(record.unit),
        is_long=_is_long(record, plain_name, plain_value),
        is_cut=is_cut,
        flag=_flag_class(record.flag),
        flag_words=str(words.FLAGS.get(record.flag, record.flag)) if record.flag else "",
        about=about,
        parts=[_part(each, plain) for each in qualifiers],
        is_withdrawn=is_withdrawn,
        withdrawn_words=words.withdrawn(record.withdrawn_reason) if is_withdrawn else "",
        when=short_day(record.date),
        own_name=_shortened(own_name),
        own_value=own_value,
        is_hidden=record.is_hidden,
    )


def _shortened(name: str) -> str:
    return Truncator(name).chars(LONGEST_NAME) if len(name) > LONGEST_NAME else name


def _flag_class(flag: str | None) -> str:
    """The class of a flag's colour and icon; a word that we do not know is at least out of the ordinary."""
    if not flag:
        return ""
    return flag if flag in words.FLAGS else "abnormal"


def _is_long(record: RecordView, name: str, value: str) -> bool:
    """Whether the value stands below the name. A dose always does: cut in two columns it is hard to read."""
    return (
        record.category == Category.MEDICATION
        or "\n" in value
        or len(name) > LONGEST_NAME_BESIDE
        or len(value) + len(record.unit) > LONGEST_VALUE_BESIDE
    )


#: Tables whose concept is only a word such as "Diagnosis"; what it is stands in the value.
SAID_BY_VALUE = frozenset({"encounter_diagnosis", "conditions", "allergy", "visit", "encounter"})


def _named(record: RecordView) -> tuple[str, str]:
    """What stands as the name and what as the value: where the question says nothing, the answer is the name."""
    is_answer = record.source.table in SAID_BY_VALUE or record.category_rule.startswith("mapping:emrapi")
    return (record.value, "") if is_answer and record.value else (record.concept, record.value)


def _plain_name(record: RecordView, name: str, plain: PlainWords) -> tuple[str, str]:
    """What stands as the name, and what beneath it. A medicine is called what its box says: plain words come second."""
    is_answer = name != record.concept and record.source.table == "obs"
    found = plain.get(str(record.details.get("answer", "")) if is_answer else record.concept_uuid)
    first, second = heading(name, found)
    return (second, first) if second and record.source.table == "orders" else (first, second)


#: A computer's writing, as DEG C is: the answer to a question for a day, and, case folded, to one for yes or no.
DAY = re.compile(r"\d{4}-\d\d-\d\d")
YES_OR_NO = {"true": gettext_lazy("Yes"), "false": gettext_lazy("No")}


def _plain_value(record: RecordView, value: str, plain: PlainWords) -> tuple[str, str]:
    """A coded answer in plain words, and the hospital's own."""
    if word := YES_OR_NO.get(value.casefold()):
        return str(word), ""
    if DAY.fullmatch(value):
        return short_day(value), ""
    if record.source.table == "orders":
        return doses.taken(value, plain), ""
    answer = str(record.details.get("answer", ""))
    return heading(value, plain.get(answer)) if value and answer else (value, "")


def _part(qualifier: RecordView, plain: PlainWords) -> tuple[str, str]:
    name, _own = heading(qualifier.concept, plain.get(qualifier.concept_uuid))
    return name, answer_of(qualifier, plain)


def answer_of(record: RecordView, plain: PlainWords) -> str:
    """What it says, on one line, in the reader's words."""
    return _plain_value(record, joined(record), plain)[0]


def joined(record: RecordView) -> str:
    return f"{record.value} {as_people_write(record.unit)}".strip()


def usual_range(record: RecordView) -> str:
    """`usual range 4 to 6`, as that hospital gives it; empty when it gives none."""
    return _("usual range %(range)s") % {"range": found} if (found := bare_range(record)) else ""


def bare_range(record: RecordView) -> str:
    """`4 to 6`, `from 4`, `up to 6`."""
    low, high = figure(record.low), figure(record.high)
    if low and high:
        return _("%(low)s to %(high)s") % {"low": low, "high": high}
    if low:
        return _("from %(low)s") % {"low": low}
    return _("up to %(high)s") % {"high": high} if high else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an entry says, in full, and to which question, where the name is the answer."""

    name: str
    own_name: str
    value: str
    own_value: str
    question: str


def said(record: RecordView, *, plain: PlainWords = NO_WORDS) -> Said:
    name, value = _named(record)
    is_question_shown = name != record.concept and record.source.table == "obs"
    plain_name, own_name = _plain_name(record, name, plain)
    plain_value, own_value = _plain_value(record, value, plain)
    if not own_value and fold(plain_value) != fold(value):
        own_value = value  # a date, a yes or a dose in our words: here alone there is room for the hospital's
    return Said(
        name=plain_name,
        own_name=own_name,
        value=plain_value,
        own_value=own_value,
        question=record.concept if is_question_shown else "",
    )


def _about(record: RecordView) -> Iterator[str]:
    if found := usual_range(record):
        yield found
    if record.certainty:
        yield words.code(record.certainty).lower()
    if record.rank == 1:
        yield _("main diagnosis")
    yield from words.facts(record.details)
    if record.source.table == "encounter":
        yield from (fact for fact in (clock(record.at_local), record.provider, record.location) if fact)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedLines:
    """Conditions or medicines of the overview, apart by whether the source says that they hold."""

    current: Sequence[Line]
    unknown: Sequence[Line]
    n_more: int = 0  # that the page has no room for

    def __bool__(self) -> bool:
        return bool(self.current or self.unknown)


def stated(found: Sequence[Stated], *, pages: Pages, plain: PlainWords = NO_WORDS) -> StatedLines:
    def made(each: Stated) -> Line:
        return line(
            each.record, pages=pages, qualifiers=each.qualifiers, with_day=True, with_hospital=True, plain=plain
        )

    current = [each for each in found if each.standing is Standing.CURRENT]
    unknown = [each for each in found if each.standing is Standing.UNKNOWN]
    # What is known to hold comes first, where not all has room.
    shown = [*current, *unknown][:LONGEST_STATED]
    return StatedLines(
        current=[made(each) for each in shown if each.standing is Standing.CURRENT],
        unknown=[made(each) for each in shown if each.standing is Standing.UNKNOWN],
        n_more=len(current) + len(unknown) - len(shown),
    )
