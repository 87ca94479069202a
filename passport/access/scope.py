"""What of one patient's record one look may show. Made here only; every read of `passport.history` asks for one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Q, QuerySet

from passport.access.shapes import PROXIES, Basis
from passport.models import Hide, Link, Patient, Record, SensitiveConcept, SourceConcept
from passport.models.access import SensitiveSet
from passport.models.links import LinkState

ALL_SETS: frozenset[str] = frozenset(SensitiveSet.values)
NO_SETS: frozenset[str] = frozenset()
#: uuids asked for at once: below what every store takes as one list.
AT_ONCE = 10_000


def row_name(*, table: str, uuid: str, hospital_id: UUID, source_id: int) -> tuple[str, str]:
    """What a source row is called for as long as it exists: its uuid, whatever became of ids and epochs."""
    return table, uuid or f"{hospital_id}/{source_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Entries picked out: of these hospitals, of these categories, these rows, of these sensitive sets."""

    hospitals: frozenset[UUID] = frozenset()
    categories: frozenset[str] = frozenset()
    rows: frozenset[tuple[str, str]] = frozenset()  # `row_name`s
    sets: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hospitals or self.categories or self.rows or self.sets)

    def __or__(self, other: "Choice") -> "Choice":
        return Choice(
            hospitals=self.hospitals | other.hospitals,
            categories=self.categories | other.categories,
            rows=self.rows | other.rows,
            sets=self.sets | other.sets,
        )


#: concept uuid, or "SOURCE:code" in upper case → the sensitive sets it belongs to.
Sets = Mapping[str, frozenset[str]]


def concepts_of(record: Any) -> tuple[str, str]:
    """uuids of what was asked, and of what was answered where the answer is a concept; empty where there is none."""
    return record.concept_uuid, str(record.details.get("answer", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose record, and what one look leaves out of it.

    `hides`: what the patient keeps from doctors and carers; marked for those who see it all the same.
    `left_out`: what this look does not show, in no list, count, filter, search or summary.
    `is_partial`: the viewer is told that something may be missing, never what or how much. It follows from the
    patient's having chosen anything at all, not from what the choice takes out: so it cannot be used to feel about.
    """

    patient: Patient
    basis: Basis | None
    hides: Choice
    left_out: Choice
    sets: Sets = field(repr=False)

    @property
    def is_partial(self) -> bool:
        return bool(self.left_out)

    def without_sensitive(self, *, but: Collection[str] = ()) -> "Scope":
        """The same look without the sensitive sets, but for those that the patient chose: for print, shares, exports.

        Never wider than it was.
        """
        return replace(self, left_out=self.left_out | Choice(sets=ALL_SETS - frozenset(but)))

    def without_hidden(self) -> "Scope":
        """The same look without what the patient keeps back: for what leaves the patient's own hands."""
        return replace(self, left_out=self.left_out | self.hides)

    def sets_of(self, record: Any) -> frozenset[str]:
        """The sensitive sets of one record, by its question and by its coded answer."""
        return frozenset().union(*(self.sets.get(uuid, NO_SETS) for uuid in concepts_of(record)))

    def is_hidden(self, record: Any) -> bool:
        """Whether the patient keeps it from doctors and carers."""
        return self._picks(self.hides, record)

    def leaves_out(self, record: Any) -> bool:
        """Whether this look does not show it, by what the record itself says."""
        return self._picks(self.left_out, record)

    def _picks(self, choice: Choice, record: Any) -> bool:
        return (
            record.hospital_id in choice.hospitals
            or record.category in choice.categories
            or (bool(choice.rows) and _name_of(record) in choice.rows)
            or (bool(choice.sets) and not choice.sets.isdisjoint(self.sets_of(record)))
        )


def scope_for(*, patient: Patient, basis: Basis, sensitive: Collection[str] = ()) -> Scope:
    """The scope of a look for this reason. `sensitive`: the sets that the patient lets a proxy see."""
    hides = hides_of(patient)
    left_out = Choice()
    if basis not in {Basis.ONESELF, Basis.BREAK_GLASS}:
        left_out |= hides
    if basis in PROXIES:
        left_out |= Choice(sets=ALL_SETS - frozenset(sensitive))
    return Scope(patient=patient, basis=basis, hides=hides, left_out=left_out, sets=sets_by_name())


def share_scope(*, patient: Patient, sensitive: Collection[str] = (), with_hidden: bool = False) -> Scope:
    """What a share, an emergency card or an export made for others shows, as the patient chose when making it.

    Without the sensitive sets but for those chosen, and without what is hidden from doctors, unless chosen. To be
    called when the share is opened: so what is hidden later is left out of older shares too.
    """
    hides = hides_of(patient)
    left_out = Choice(sets=ALL_SETS - frozenset(sensitive)) | (Choice() if with_hidden else hides)
    return Scope(patient=patient, basis=None, hides=hides, left_out=left_out, sets=sets_by_name())


def hides_of(patient: Patient) -> Choice:
    found = list(Hide.objects.filter(patient=patient))
    return Choice(
        hospitals=frozenset(hide.hospital_id for hide in found if hide.hospital_id),
        categories=frozenset(hide.category for hide in found if hide.category),
        rows=frozenset((hide.table, hide.source_uuid) for hide in found if hide.source_uuid),
        sets=frozenset(hide.sensitive_set for hide in found if hide.sensitive_set),
    )


def sets_by_name() -> Sets:
    """The table of sensitive concepts, as it stands now: a change counts from the next look on. One small query."""
    found: dict[str, set[str]] = {}
    for uuid, source, code, name in SensitiveConcept.objects.values_list(
        "concept_uuid", "source", "code", "sensitive_set"
    ):
        found.setdefault(uuid or f"{source}:{code}".upper(), set()).add(name)
    return {key: frozenset(names) for key, names in found.items()}


# --- which records ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """The links and records that one look may show. `records` obeys the rules for `Record`: no joins."""

    scope: Scope
    links: list[Link]
    records: QuerySet[Record]

    @property
    def changing(self) -> QuerySet[Record]:
        """For asking whether `records` have changed: where nothing of these links is left out an index answers that.

        Where something is, exactly those: whoever may not see a record does not learn that it changed either.
        """
        left_out = self.scope.left_out
        is_narrowed = left_out.categories or left_out.rows or left_out.sets
        return self.records if is_narrowed else written_for(self.links)

    def only(self, hospital: str) -> "Visible":
        """The same, of one hospital (its code); all for the empty code."""
        if not hospital:
            return self
        links = [link for link in self.links if link.hospital.code == hospital]
        return replace(self, links=links, records=self.records.filter(link_id__in=[link.pk for link in links]))


def visible(scope: Scope) -> Visible:
    """What this look may show: current and withdrawn records of the patient's *linked* links."""
    links = visible_links(scope)
    records = records_of(scope.patient.pk, links)
    if scope.left_out.sets or scope.hides.sets:
        scope = with_codes(scope, (_Concepts(*row) for row in records.values_list("concept_uuid", "details")))
    return Visible(scope=scope, links=links, records=_without(scope, records))


class _Concepts(NamedTuple):
    concept_uuid: str
    details: Mapping[str, Any]


def with_codes(scope: Scope, records: Iterable[Any]) -> Scope:
    """The same scope, which now also knows those concepts of these records that are sensitive by a code of theirs.

    A mapping in one hospital's dictionary counts for the concept wherever it is used: uuids are the same concept.
    """
    if not any(":" in name for name in scope.sets):
        return scope
    uuids = sorted({uuid for record in records for uuid in concepts_of(record) if uuid})
    found = dict(scope.sets)
    for start in range(0, len(uuids), AT_ONCE):
        known = SourceConcept.objects.filter(concept_uuid__in=uuids[start : start + AT_ONCE])
        for uuid, codes in known.values_list("concept_uuid", "codes"):
            for source, code in codes:
                found[uuid] = found.get(uuid, NO_SETS) | scope.sets.get(f"{source}:{code}".upper(), NO_SETS)
    return replace(scope, sets=found)


#: What is asked of a link and its hospital to show records and to say how fresh they are. Django takes as long to put
#: together a statement of all their columns as the store to answer it.
_SHOWN_OF_HOSPITAL = ("number", "code", "name", "time_zone", "epoch", "config_version", "sweep_hours")
_SHOWN_OF_LINK = (
    *("patient", "hospital", "epoch", "state", "reason", "min_token"),
    *("marks", "fresh_marks", "fresh_config_version", "stale_since", "refreshed_at"),
    *(f"hospital__{name}" for name in _SHOWN_OF_HOSPITAL),
)


def visible_links(scope: Scope) -> list[Link]:
    """With their hospitals; other columns of either than those that are shown cost a query each."""
    links = linked(scope.patient.pk).select_related("hospital").only(*_SHOWN_OF_LINK).order_by("hospital__name", "pk")
    return [link for link in links if link.hospital_id not in scope.left_out.hospitals]


def linked(patient_id: UUID) -> QuerySet[Link]:
    """Links whose records may be shown at all: a human or the number says so, in the source's present epoch."""
    return Link.objects.filter(patient_id=patient_id, state=LinkState.LINKED, epoch=F("hospital__epoch"))


def records_of(patient_id: UUID, links: Collection[Link]) -> QuerySet[Record]:
    """The records of these links of the patient, whoever may see them."""
    return written_for(links).filter(patient_id=patient_id)


def written_for(links: Collection[Link]) -> QuerySet[Record]:
    """What was written for these links, be it about another patient. Never shown: only to see whether it changes."""
    if not links:
        return Record.objects.none()
    shown = Q(link_id__in=[link.pk for link in links if not link.min_token])
    for link in links:
        if link.min_token:
            # What a worker wrote after its claim had run out.
            shown |= Q(link_id=link.pk, token__gte=link.min_token)
    return Record.objects.filter(shown)


def _without(scope: Scope, records: QuerySet[Record]) -> QuerySet[Record]:
    left_out = scope.left_out
    if not (left_out.categories or left_out.rows or left_out.sets):
        return records
    keys = _keys_left_out(scope, records)
    if left_out.categories:
        records = records.exclude(category__in=sorted(left_out.categories))
    return records.exclude(key__in=keys) if keys else records


class _Row(NamedTuple):
    """What is needed of a record to see whether it is left out."""

    key: str
    link_id: UUID
    hospital_id: UUID
    table: str
    source_id: int
    source_uuid: str
    category: str
    concept_uuid: str
    visit_id: int | None
    encounter_id: int | None
    group_id: int | None
    part_of: str | None
    details: Mapping[str, Any]


_NAMES = _Row._fields[:-1]


def _keys_left_out(scope: Scope, records: QuerySet[Record]) -> list[str]:
    """Keys of what is left out beyond a whole category, in one pass over the patient's records.

    With an entry goes what qualifies it. With a sensitive entry also goes what was recorded in one group with it, and
    the heading of its encounter and visit: "Result: positive" and "HIV clinic" say the same as the entry.
    """
    if scope.left_out.sets:
        rows = [_Row._make(row) for row in records.values_list(*_NAMES, "details")]
    else:
        rows = [_Row._make((*row, {})) for row in records.values_list(*_NAMES)]
    gone = {row.key for row in rows if scope.leaves_out(row)}
    if scope.left_out.sets:
        gone |= _around_sensitive(scope, rows)
    while more := {row.key for row in rows if row.part_of in gone and row.key not in gone}:
        gone |= more
    of_category = {row.key for row in rows if row.category in scope.left_out.categories}
    return sorted(gone - of_category)


def _around_sensitive(scope: Scope, rows: Sequence[_Row]) -> set[str]:
    """Keys of the entries in one obs group with a sensitive one, and of the headings above it."""
    sensitive = [row for row in rows if not scope.left_out.sets.isdisjoint(scope.sets_of(row))]
    groups = {(row.link_id, row.group_id) for row in sensitive if row.table == "obs" and row.group_id is not None}
    encounters = {(row.link_id, row.encounter_id) for row in sensitive if row.encounter_id is not None}
    visits = {(row.link_id, row.visit_id) for row in sensitive if row.visit_id is not None}
    return {
        row.key
        for row in rows
        if (row.table == "obs" and (row.link_id, row.group_id) in groups)
        or (row.table == "encounter" and (row.link_id, row.encounter_id) in encounters)
        or (row.table == "visit" and (row.link_id, row.visit_id) in visits)
    }


def _name_of(record: Any) -> tuple[str, str]:
    return row_name(
        table=record.table, uuid=record.source_uuid, hospital_id=record.hospital_id, source_id=record.source_id
    )
