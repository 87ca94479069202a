"""/metrics: how it stands, for Prometheus. Counted in our own tables at each scrape; labels are codes of hospitals."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, F
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from openmrs_sync.models import Alert, Breaker, SyncRun
from openmrs_sync.overview import HospitalLine, Overview, read_overview
from passport.models import AuditHead, Link

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

#: name → (what it is, what one line of the overview says)
PER_HOSPITAL = {
    "lag_seconds": "Seconds since the start of the last look that succeeded.",
    "source_rows": "Source rows of linked persons at their last balance.",
    "stored_records": "Records that are not withdrawn.",
    "parked_rows": "Source rows that could not become a record.",
    "unexplained_rows": "Source rows that are neither stored, parked nor excluded. Must be 0.",
    "breaker_open": "1 while the hospital is not asked because it did not answer.",
    "live": "1 when the schedule reads it.",
    "last_run_seconds": "How long the last run took.",
    "last_run_ok": "1 when the last run went well.",
}


class _Collector:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        shown = read_overview(now=self._now)
        yield from _of_hospitals(shown)
        yield from _of_links()
        yield from _of_runs()
        yield _gauge("worker_alive", "1 when a tick was executed within two periods.", shown.is_worker_alive)
        yield _gauge("schedule_running", "1 when the schedule is started.", shown.control.is_running)
        yield _gauge("interval_minutes", "The general interval.", shown.control.interval_minutes)
        head = AuditHead.objects.values_list("seq", flat=True).first()
        yield _gauge("audit_rows", "Rows of the audit chain.", head or 0)
        alerts = GaugeMetricFamily("passport_alerts", "Alerts that are open.", labels=["kind"])
        n_open = dict(Alert.objects.filter(ended_at=None).values_list("kind").annotate(n=Count("pk")).order_by())
        for kind in Alert.Kind.values:
            alerts.add_metric([kind], n_open.get(kind, 0))
        yield alerts


def exposition(*, now: datetime) -> bytes:
    """The whole page in Prometheus' text format 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return generate_latest(registry)


def _of_hospitals(shown: Overview) -> Iterator[Metric]:
    values = [(line.hospital.code, _line(line)) for line in shown.lines]
    for name, text in PER_HOSPITAL.items():
        family = GaugeMetricFamily(f"passport_hospital_{name}", text, labels=["hospital"])
        for code, line in values:
            if (value := line[name]) is not None:
                family.add_metric([code], value)
        yield family


def _line(line: HospitalLine) -> dict[str, float | None]:
    run = line.last_run
    return {
        "lag_seconds": line.lag_seconds,
        "source_rows": line.balance.n_source,
        "stored_records": line.balance.n_stored,
        "parked_rows": line.balance.n_parked,
        "unexplained_rows": abs(line.balance.n_unexplained),
        "breaker_open": line.breaker != Breaker.State.CLOSED,
        "live": line.hospital.is_live,
        "last_run_seconds": run.seconds if run else None,
        "last_run_ok": run.status == SyncRun.Status.OK if run else None,
    }


def _of_links() -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "passport_links", "Persons at hospitals, by what they are to us.", labels=["hospital", "state"]
    )
    links = Link.objects.filter(epoch=F("hospital__epoch"))
    for code, state, n in links.values_list("hospital__code", "state").annotate(n=Count("pk")).order_by():
        family.add_metric([code, state], n)
    yield family


def _of_runs() -> Iterator[Metric]:
    family = GaugeMetricFamily("passport_runs", "Runs that are kept in the list, by outcome.", labels=["status"])
    for status, n in SyncRun.objects.values_list("status").annotate(n=Count("pk")).order_by():
        family.add_metric([status], n)
    yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"passport_{name}", text, value=float(value))
