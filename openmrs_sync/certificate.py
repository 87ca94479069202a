"""The certificate of a hospital: what became of every source row, who is linked, and how that was on the last days.

By the last balances at any time, and counted afresh when somebody asks (an inspection). Nothing here asks the source.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Sum
from django.db.models.functions import Abs

from hospitals.models import Hospital
from openmrs_sync import inspections, links, receipts
from openmrs_sync.models import Inspection, ParkedRow, ReceiptDay, Watermark
from openmrs_sync.receipts import FIGURES, Figures

DAYS = 30
#: So long a day is kept: a quarter can be looked back upon.
KEPT = dt.timedelta(days=100)
OF_A_DAY = ("n_source", "n_stored", "n_parked", "n_excluded", "n_unexplained")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figured:
    """The figures of one way of counting. `persons`: None where it is not known."""

    tables: Mapping[str, Figures]
    excluded: Mapping[str, int]
    parked: Mapping[str, int]
    persons: Mapping[str, int | None]

    @property
    def total(self) -> Figures:
        total = Figures()
        for figures in self.tables.values():
            total.add(figures)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`afresh`: of the last count that was finished, None when there was none. `days`: oldest first, None: no run."""

    hospital: Hospital
    balances: Figured
    lag_seconds: int | None
    last_success_at: dt.datetime | None
    afresh: Figured | None
    counted: Inspection | None
    latest: Inspection | None
    days: Sequence[tuple[dt.date, ReceiptDay | None]]

    @property
    def shown(self) -> Figured:
        """Counted afresh if it ever was: only that proves something."""
        return self.afresh or self.balances

    @property
    def is_under_way(self) -> bool:
        return self.latest is not None and self.latest.status in inspections.UNDER_WAY


def read(*, hospital: Hospital, now: dt.datetime) -> Certificate:
    """Everything that the page and the CSV say."""
    balances = receipts.receipt(hospital=hospital, verify=False, now=now)
    counts = inspections.of_hospital(hospital=hospital, kind=Inspection.Kind.VERIFY)
    counted = counts.filter(status=Inspection.Status.DONE).first()
    return Certificate(
        hospital=hospital,
        balances=Figured(
            tables=balances.tables or {},
            excluded=balances.excluded or {},
            parked=_parked(hospital),
            persons=balances.persons or {},
        ),
        lag_seconds=balances.lag_seconds,
        last_success_at=balances.last_success_at,
        afresh=_afresh(counted.result) if counted else None,
        counted=counted,
        latest=counts.first(),
        days=days(hospital=hospital, now=now),
    )


def _afresh(result: Mapping[str, Any]) -> Figured:
    return Figured(
        tables={table: Figures(**figures) for table, figures in result["tables"].items()},
        excluded=result["excluded"],
        parked=result["parked"],
        persons=result["persons"],
    )


def _parked(hospital: Hospital) -> dict[str, int]:
    mine = ParkedRow.objects.filter(link__in=links.linked(hospital))
    return dict(mine.values_list("reason").annotate(n=Count("pk")).order_by("reason"))


# --- the last days ----------------------------------------------------------------------------------------------------


def note_day(*, hospital: Hospital, now: dt.datetime, is_still: bool = False) -> dict[str, int]:
    """Leave today's receipt, by the sums of the last balances; the last run of the day has the last word.

    `is_still`: no link came, changed or went since the last run. When nobody was read since either, the sums are those
    of that run, and are not drawn again. Returns the figures, by the names of OF_A_DAY.
    """
    if is_still and (drawn := _drawn_already(hospital=hospital, now=now)):
        return drawn
    sums = links.linked(hospital).aggregate(
        source=Sum("n_source"),
        stored=Sum("n_stored"),
        parked=Sum("n_parked"),
        signed=Sum("n_unexplained"),
        unexplained=Sum(Abs("n_unexplained")),
    )
    n = {name: value or 0 for name, value in sums.items()}
    watermark = Watermark.objects.filter(pk=hospital.pk, epoch=hospital.epoch).only("persons").first()
    day = _day(hospital=hospital, now=now)
    figures = {
        "n_source": n["source"],
        "n_stored": n["stored"],
        "n_parked": n["parked"],
        "n_excluded": max(0, n["source"] - n["stored"] - n["parked"] - n["signed"]),
        "n_unexplained": n["unexplained"],
    }
    _, is_new = ReceiptDay.objects.update_or_create(
        hospital=hospital,
        day=day,
        defaults={"read_at": now, **figures, "persons": watermark.persons if watermark else {}},
    )
    if is_new:
        ReceiptDay.objects.filter(hospital=hospital, day__lt=day - KEPT).delete()
    return figures


def _drawn_already(*, hospital: Hospital, now: dt.datetime) -> dict[str, int] | None:
    today = ReceiptDay.objects.filter(hospital=hospital, day=_day(hospital=hospital, now=now))
    drawn = today.first()
    if drawn is None or links.linked(hospital).filter(refreshed_at__gte=drawn.read_at).exists():
        return None
    today.update(read_at=now)
    return {name: getattr(drawn, name) for name in OF_A_DAY}


def _day(*, hospital: Hospital, now: dt.datetime) -> dt.date:
    """By the hospital's calendar."""
    return now.astimezone(ZoneInfo(hospital.time_zone)).date()


def days(*, hospital: Hospital, now: dt.datetime) -> list[tuple[dt.date, ReceiptDay | None]]:
    """The last DAYS days by the hospital's calendar, today last."""
    today = _day(hospital=hospital, now=now)
    wanted = [today - dt.timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    kept = {row.day: row for row in ReceiptDay.objects.filter(hospital=hospital, day__gte=wanted[0])}
    return [(day, kept.get(day)) for day in wanted]


# --- as a sheet -------------------------------------------------------------------------------------------------------

HEADER = ("hospital", "part", "name", "figure", "number")


def rows(certificate: Certificate) -> Iterator[tuple[str, str, str, str, int | str]]:
    """One figure a line, for a spreadsheet or a program: HEADER says what stands where."""
    name, counted = certificate.hospital.name, certificate.counted
    at = counted.finished_at if counted else certificate.last_success_at
    how = "counted afresh" if counted else "last balances"
    yield name, "certificate", how, "at", at.isoformat(timespec="seconds") if at else ""
    shown = certificate.shown
    for table, figures in [*shown.tables.items(), ("together", shown.total)]:
        for figure in FIGURES:
            yield name, "tables", table, figure, getattr(figures, figure)
    for part, counts in (("excluded", shown.excluded), ("parked", shown.parked), ("persons", shown.persons)):
        for reason, n in counts.items():
            yield name, part, reason, "n", "" if n is None else n
    for day, row in certificate.days:
        for figure in OF_A_DAY if row else ():
            yield name, "days", day.isoformat(), figure, getattr(row, figure)
