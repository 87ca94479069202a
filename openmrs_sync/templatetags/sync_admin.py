"""What the admin's start page shows of the sync."""

import re
from datetime import datetime

from django import template

from hospitals.models import Hospital
from openmrs_sync import control, overview, sync_page, words
from openmrs_sync.models import SyncRun

register = template.Library()

#: Hospital state → a symbol of icons.svg. Decoration: the word stands beside it.
STATE_ICONS = {"draft": "other", "tested": "info", "live": "fresh", "paused": "paused", "retired": "withdrawn"}


@register.simple_tag
def sync_overview(at: datetime) -> overview.Overview:
    """How it stands at this moment, which the page was told."""
    return overview.read_overview(now=at)


@register.simple_tag
def sync_control() -> control.Control:
    return control.read_control()


@register.filter
def needs(seen: overview.Overview) -> list[sync_page.Need]:
    return sync_page.needs(seen)


@register.filter
def renewed_after(seen: overview.Overview) -> int:
    """Seconds until the page looks again."""
    return sync_page.SOON if any(line.is_under_way for line in seen.lines) else sync_page.LATER


@register.filter
def strip(line: overview.HospitalLine) -> sync_page.Strip:
    return sync_page.strip(line)


@register.filter
def about(seconds: float) -> str:
    return words.about(seconds)


@register.filter
def state_words(line: overview.HospitalLine) -> str:
    """`live`, `live, not read`, `draft` …: never by the icon alone."""
    return (
        f"{line.hospital.get_state_display()}{', not read' if line.hospital.is_live and line.last_error_kind else ''}"
    )


@register.filter
def concept_number(concept_uuid: str) -> str:
    """`1728AAA…` → `CIEL 1728`, as dictionaries name it: the letters only fill a uuid. Any other uuid as it is."""
    found = re.fullmatch(r"([1-9][0-9]*)A+", concept_uuid)
    return f"CIEL {found[1]}" if found and len(concept_uuid) == 36 else concept_uuid


@register.filter
def error_words(kind: str) -> str:
    return words.error_kind(kind)


@register.filter
def lag(seconds: float | None) -> str:
    """Since when nothing is confirmed: `3 minutes`, `never`."""
    return words.duration(seconds)


@register.filter
def from_now(moment: datetime | None, at: datetime) -> str:
    """`in 3 minutes`, `now`, or empty; seen from `at`."""
    if moment is None:
        return ""
    seconds = (moment - at).total_seconds()
    return "now" if seconds <= 0 else f"in {words.duration(seconds)}"


@register.filter
def state_icon(line: overview.HospitalLine) -> str:
    if line.hospital.is_live and line.last_error_kind:
        return "unreachable" if line.last_error_kind == "unreachable" else "allergy"
    return STATE_ICONS[line.hospital.state]


@register.filter
def line_verbs(line: overview.HospitalLine) -> list[dict[str, str]]:
    """The buttons of a hospital's line: what is done every day. The rest stands on its page."""
    buttons = {}
    if line.hospital.is_live:
        buttons = {"sync": "Sync now", "test": "Test", "pause": "Pause"}
    elif line.hospital.state == "paused":
        buttons = {"test": "Test", "resume": "Go live"}
    return [{"name": name, "label": label} for name, label in buttons.items()]


@register.filter
def grouped(number: int | str | None) -> str:
    """`48213` → `48,213`; nothing known: `–`."""
    return "–" if number is None or number == "" else f"{number:,}"


@register.filter
def seconds(number: float) -> str:
    """`0.04 s`, `3.2 s`, `5 minutes`: as exact as one reads it."""
    if number >= 120:
        return words.duration(number)
    return f"{number:.2f} s" if number < 1 else f"{number:.1f} s"


@register.filter
def unlocalized(number: int) -> str:
    """As an attribute of HTML wants a number, whatever the language."""
    return str(number)


@register.filter
def ago(moment: datetime | None, at: datetime) -> str:
    """`3 minutes ago`, `just now`, `never`; seen from `at`."""
    if moment is None:
        return "never"
    seconds = max(0.0, (at - moment).total_seconds())
    return "just now" if seconds < 60 else f"{words.duration(seconds)} ago"


@register.filter
def cost(run: SyncRun) -> str:
    """What a run cost the hospital's server."""
    return words.cost(n_rows=run.n_source_rows, seconds=run.source_seconds)


@register.simple_tag
def latest_run(hospital: Hospital) -> SyncRun | None:
    """The last run of the whole hospital that ended; None when there was none."""
    ended = SyncRun.objects.filter(hospital=hospital, finished_at__isnull=False)
    return ended.exclude(trigger=SyncRun.Trigger.PATIENT).order_by("-started_at").first()
