"""Medicines as cards of a page: what, how, since when, and who counts where two prescribe. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from passport.history import Medicine, Medicines, Standing, Stated
from passport.templatetags.pages import short_day
from passport.views import doses, words
from passport.views.lines import Line, Pages, line
from passport.views.plain import PlainWords

#: Prescriptions on the page, those that may still count first; the history has them all. One is about 1 KB.
LONGEST_PAGE = 36
#: Earlier prescriptions under one drug: lines, two of which take the room of one prescription.
LONGEST_EARLIER = 10
#: What stands as a fact of its own under the prescription.
HOW = ("dose", "route", "frequency", "as_needed", "duration", "quantity", "instructions")
#: Of these, what the glossary has words for.
TAKEN = frozenset({"dose", "route", "frequency"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One prescription."""

    line: Line
    hospital: str
    who: str  # empty: not recorded
    when: str
    standing: str  # a sentence
    state: str  # current, past, unknown: the class of its mark
    how: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MedicineCard:
    name: str
    plain: str  # what it is for, in plain words; empty when nobody wrote any
    url: str
    question: str  # what to ask, where several hospitals prescribe it; else empty
    courses: Sequence[Course]
    earlier: Sequence[Course]
    n_earlier: int
    n_more: int  # earlier ones that are not listed


@dataclass(frozen=True, slots=True, kw_only=True)
class MedicineSection:
    state: str
    title: str
    sentence: str
    cards: Sequence[MedicineCard]
    n_more: int


def sections(found: Medicines, *, pages: Pages, plain: PlainWords) -> list[MedicineSection]:
    """Those that hold something; none when there is no medicine at all."""
    told = (
        (Standing.CURRENT, _("Prescribed now"), _("By the dates that the hospitals wrote."), found.current),
        (
            Standing.UNKNOWN,
            _("Not known whether it still counts"),
            _("The hospital wrote no end. Many prescriptions are never closed, so ask before you rely on it."),
            found.unknown,
        ),
        (Standing.PAST, _("In the past"), _("Ended by the dates that the hospitals wrote."), found.past),
    )
    room, made = LONGEST_PAGE, []
    for state, title, sentence, medicines in told:
        cards = []
        for medicine in medicines:
            if room <= 0:
                break
            cards.append(_card(medicine, pages=pages, plain=plain))
            room -= len(cards[-1].courses) + len(cards[-1].earlier) // 2
        if medicines:
            section = MedicineSection(
                state=state.value, title=title, sentence=sentence, cards=cards, n_more=len(medicines) - len(cards)
            )
            made.append(section)
    return made


def _card(medicine: Medicine, *, pages: Pages, plain: PlainWords) -> MedicineCard:
    """Of a drug that is over, its last prescription stands open."""
    courses = medicine.holding or medicine.earlier[:1]
    earlier = medicine.earlier if medicine.holding else medicine.earlier[1:]
    newest = line(medicine.newest.record, pages=pages, plain=plain)
    return MedicineCard(
        name=newest.name,
        plain=newest.own_name,
        url=newest.url,
        question=_question(medicine),
        courses=[_course(each, pages=pages, plain=plain) for each in courses],
        earlier=[_course(each, pages=pages, plain=plain) for each in earlier[:LONGEST_EARLIER]],
        n_earlier=len(earlier),
        n_more=max(len(earlier) - LONGEST_EARLIER, 0),
    )


def _question(medicine: Medicine) -> str:
    if medicine.n_hospitals == 2:
        return _("Two hospitals prescribe this. Ask which one counts.")
    if medicine.n_hospitals > 2:
        return _("%(n)d hospitals prescribe this. Ask which one counts.") % {"n": medicine.n_hospitals}
    if len(medicine.holding) > 1:
        return _("It is prescribed more than once. Ask whether all of it is to be taken.")
    return ""


def _course(stated: Stated, *, pages: Pages, plain: PlainWords) -> Course:
    record = stated.record
    told = dict(words.named_details(record.details, HOW))
    how = [(str(words.DETAILS[key]), doses.taken(text, plain) if key in TAKEN else text) for key, text in told.items()]
    if not any(key in told for key in ("dose", "route", "frequency")) and record.value:
        how.insert(0, (_("As written"), record.value[:300]))
    return Course(
        line=line(record, pages=pages, qualifiers=stated.qualifiers, plain=plain),
        hospital=record.hospital_name,
        who=record.provider,
        when=short_day(record.date) if record.date else "",
        standing=_standing(stated),
        state=stated.standing.value,
        how=how,
    )


def _standing(stated: Stated) -> str:
    details = stated.record.details
    stopped, expires = details.get("stopped"), details.get("expires")
    if stated.standing is Standing.UNKNOWN:
        return _("No end was written.")
    if stated.standing is Standing.CURRENT:
        ends = min(str(end) for end in (stopped, expires, details.get("ended")) if end) if stopped or expires else ""
        return _("Until %(day)s.") % {"day": short_day(ends)} if ends else _("The hospital calls it current.")
    # What came first ended it: a stop after the planned end stops nothing.
    if stopped and (not expires or str(stopped) < str(expires)):
        return _stopped(str(details.get("stopped_by", "")), details.get("stopped_action"), day=short_day(str(stopped)))
    if expires:
        return _("Ended on %(day)s, as planned.") % {"day": short_day(str(expires))}
    return _("The hospital calls it ended.")


def _stopped(by: str, action: object, *, day: str) -> str:
    """`action`: of the order that stopped it, as OpenMRS calls it; one that revises is the next prescription."""
    told = {"day": day, "who": by[:100]}
    if action == "REVISE":
        if by:
            return _("Changed on %(day)s by %(who)s: a newer prescription took its place.") % told
        return _("Changed on %(day)s: a newer prescription took its place.") % told
    if by:
        return _("Stopped on %(day)s by %(who)s.") % told
    return _("Stopped on %(day)s. Who stopped it is not recorded.") % told
