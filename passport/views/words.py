"""What the pages say, in sentences. Pure: values in, words out. "Not known" and "not reached" never read as "no"."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from passport.access import Basis
from passport.history import Freshness, FreshnessState
from passport.templatetags.pages import short_day
from passport.views import doses

Words = Mapping[str, "str | Promise"]

FLAGS: Words = {
    "normal": gettext_lazy("in range"),
    "low": gettext_lazy("low"),
    "high": gettext_lazy("high"),
    "critically_low": gettext_lazy("critically low"),
    "critically_high": gettext_lazy("critically high"),
    "abnormal": gettext_lazy("abnormal"),
}

TABLES: Words = {
    "obs": gettext_lazy("observation"),
    "encounter": gettext_lazy("encounter"),
    "visit": gettext_lazy("visit"),
    "encounter_diagnosis": gettext_lazy("diagnosis"),
    "conditions": gettext_lazy("condition list"),
    "orders": gettext_lazy("prescription"),
    "allergy": gettext_lazy("allergy list"),
}

WITHDRAWN: Words = {
    "voided": gettext_lazy("The hospital has withdrawn this entry."),
    "parent_voided": gettext_lazy("The hospital has withdrawn what this entry belonged to."),
    "gone": gettext_lazy("The hospital has deleted this entry from its database."),
    "deleted": gettext_lazy("The hospital has deleted this entry from its database."),
    "moved": gettext_lazy("The hospital has moved this entry to another person."),
    "duplicate_of_migrated": gettext_lazy("The hospital's software keeps this entry in a newer place, shown instead."),
    "not_a_prescription": gettext_lazy("The hospital has changed this order into one that prescribes nothing."),
    "hidden_by_admin": gettext_lazy("Entries of this kind are no longer shown."),
    "group_without_value": gettext_lazy("The hospital's entry is now only the heading of others."),
    "no_value": gettext_lazy("The hospital's entry no longer says anything."),
}

BASES: Words = {
    Basis.ONESELF: gettext_lazy("own record"),
    Basis.SIGNED: gettext_lazy("they have written in this record"),
    Basis.CARE: gettext_lazy("their hospital has written in this record of late"),
    Basis.GRANT: gettext_lazy("you let this doctor in"),
    Basis.HOSPITAL_GRANT: gettext_lazy("you let this hospital in"),
    Basis.GUARDIAN: gettext_lazy("they are your guardian"),
    Basis.CARER: gettext_lazy("you let them read for you"),
    Basis.BREAK_GLASS: gettext_lazy("they said that it was an emergency, and gave a reason"),
}

#: The same, said to the doctor.
BASES_TO_DOCTOR: Words = {
    Basis.ONESELF: gettext_lazy("it is your own record"),
    Basis.SIGNED: gettext_lazy("you have written in it"),
    Basis.CARE: gettext_lazy("your hospital has written in it of late"),
    Basis.GRANT: gettext_lazy("the patient let you in"),
    Basis.HOSPITAL_GRANT: gettext_lazy("the patient let your hospital in"),
    Basis.GUARDIAN: gettext_lazy("you are this person's guardian"),
    Basis.CARER: gettext_lazy("this person lets you read for them"),
    Basis.BREAK_GLASS: gettext_lazy("you said that this is an emergency"),
}

SEXES: Words = {
    "M": gettext_lazy("male"),
    "F": gettext_lazy("female"),
    "O": gettext_lazy("other"),
}

MATCHES: Words = {
    "national_id": gettext_lazy("This hospital has a patient with the same National ID."),
    "decided_same": gettext_lazy("A member of staff compared the two people and decided that they are the same."),
}


def local(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(ZoneInfo(settings.TIME_ZONE_DISPLAY))


def time(moment: dt.datetime) -> str:
    """`10:35`. In words, not by a template's filter: that one would turn it back into UTC."""
    return date_format(local(moment), "TIME_FORMAT")


def when(moment: dt.datetime, *, now: dt.datetime) -> str:
    """`10:35 today`, `10:35 yesterday`, `Tuesday, 10:35`, `4 March 2024`."""
    there, today = local(moment), local(now).date()
    time = date_format(there, "TIME_FORMAT")
    days = (today - there.date()).days
    if days == 0:
        return _("%(time)s today") % {"time": time}
    if days == 1:
        return _("%(time)s yesterday") % {"time": time}
    if 1 < days < 7:
        return _("%(weekday)s, %(time)s") % {"weekday": date_format(there, "l"), "time": time}
    return date_format(there, "DATE_FORMAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshWords:
    hospital_name: str
    state: str
    sentence: str

    @property
    def is_fresh(self) -> bool:
        return self.state == FreshnessState.FRESH


def fresh_words(state: Freshness, *, now: dt.datetime) -> FreshWords:
    """One sentence per hospital that says how far its records can be trusted."""
    return FreshWords(
        hospital_name=state.hospital_name, state=state.state.value, sentence=_fresh_sentence(state, now=now)
    )


def _fresh_sentence(state: Freshness, *, now: dt.datetime) -> str:
    if state.read_at is None:
        return _never_read(state.state)
    since = {"when": when(state.read_at, now=now)}
    if state.state is FreshnessState.FRESH:
        return _("Up to date to %(when)s.") % since
    if state.state is FreshnessState.LATE:
        return _("Up to date only to %(when)s: newer records may be missing.") % since
    if state.state is FreshnessState.UNREACHABLE:
        return _("Not reached since %(when)s: newer records may be missing.") % since
    return _("Switched off since %(when)s: newer records are missing.") % since


def _never_read(state: FreshnessState) -> str:
    if state is FreshnessState.UNREACHABLE:
        return _("Has not been reached yet: its records are missing.")
    if state is FreshnessState.PAUSED:
        return _("Switched off and never read: its records are missing.")
    return _("Has not been read yet: its records are still to come.")


def category_rule(rule: str) -> str:
    """`class:Test` → a sentence that says why the entry is in its category."""
    kind, _colon, rest = rule.partition(":")
    if kind == "table":
        return _("Because it stands in the hospital's table “%(table)s”.") % {"table": rest}
    if kind == "class":
        return _("Because the hospital's dictionary calls it “%(name)s”.") % {"name": rest}
    if kind in {"mapping", "uuid"}:
        source, _colon, code = rest.partition(":")
        if source == "emrapi":
            return _("Because the hospital's software marks this question as a diagnosis.")
        return _("Because the hospital's dictionary gives it the code %(code)s of %(source)s.") % {
            "code": code,
            "source": source,
        }
    if kind == "admin":
        return _("Because an administrator put entries of this kind there.")
    return _("Because neither the table nor the dictionary says more.")


#: How an agreement was given, by the names of `Consent.How`.
CONSENTS: Words = {
    "paper": gettext_lazy("signed on paper"),
    "spoken": gettext_lazy("spoken, before a witness"),
    "online": gettext_lazy("on the web page"),
}


def withdrawn(reason: str) -> str:
    return str(WITHDRAWN.get(reason) or _("The hospital no longer stands by this entry."))


def names(found: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    if len(found) < 2:
        return "".join(found)
    return _("%(first)s and %(last)s") % {"first": ", ".join(found[:-1]), "last": found[-1]}


# --- what a source says beyond the columns ----------------------------------------------------------------------------

#: Keys of `Record.details` as the enricher writes them.
DETAILS: Words = {
    "group": gettext_lazy("Entered under"),
    "clinical_status": gettext_lazy("State"),
    "verification_status": gettext_lazy("How sure"),
    "diagnosis_status": gettext_lazy("State of the diagnosis"),
    "diagnosis_revised": gettext_lazy("Revised"),
    "onset": gettext_lazy("Began"),
    "ended": gettext_lazy("Ended"),
    "end_reason": gettext_lazy("Why it ended"),
    "reactions": gettext_lazy("Reactions"),
    "severity": gettext_lazy("How severe"),
    "type": gettext_lazy("Type"),
    "comments": gettext_lazy("Comment"),
    "dose": gettext_lazy("Dose"),
    "route": gettext_lazy("How it is taken"),
    "frequency": gettext_lazy("How often"),
    "as_needed": gettext_lazy("Only when needed"),
    "duration": gettext_lazy("For how long"),
    "quantity": gettext_lazy("Amount"),
    "instructions": gettext_lazy("Instructions"),
    "started": gettext_lazy("From"),
    "stopped": gettext_lazy("Stopped"),
    "expires": gettext_lazy("Planned end"),
    "fulfiller_status": gettext_lazy("Dispensing"),
    "order_number": gettext_lazy("Order number"),
    "status": gettext_lazy("State of the entry"),
    "interpretation": gettext_lazy("The laboratory's word"),
    "indication": gettext_lazy("Reason for the visit"),
}
DAYS = frozenset({"onset", "ended", "started", "stopped", "expires"})
#: Whose values are words of OpenMRS' lists.
CODED = frozenset(
    {
        "clinical_status",
        "verification_status",
        "diagnosis_status",
        "fulfiller_status",
        "status",
        "interpretation",
        "severity",
    }
)

#: Words of OpenMRS' own closed lists, in small letters. What a hospital made up itself is shown as it is.
CODES: Words = {
    "confirmed": gettext_lazy("confirmed"),
    "provisional": gettext_lazy("provisional"),
    "presumed": gettext_lazy("presumed"),
    "ruled out": gettext_lazy("ruled out"),
    "active": gettext_lazy("active"),
    "inactive": gettext_lazy("no longer active"),
    "history of": gettext_lazy("had it in the past"),
    "recurrence": gettext_lazy("came back"),
    "relapse": gettext_lazy("relapse"),
    "remission": gettext_lazy("in remission"),
    "resolved": gettext_lazy("resolved"),
    "preliminary": gettext_lazy("preliminary"),
    "final": gettext_lazy("final"),
    "amended": gettext_lazy("amended"),
    "positive": gettext_lazy("positive"),
    "negative": gettext_lazy("negative"),
    "susceptible": gettext_lazy("susceptible"),
    "intermediate": gettext_lazy("intermediate"),
    "resistant": gettext_lazy("resistant"),
    "mild": gettext_lazy("mild"),
    "moderate": gettext_lazy("moderate"),
    "severe": gettext_lazy("severe"),
    "received": gettext_lazy("received"),
    "in progress": gettext_lazy("in progress"),
    "on hold": gettext_lazy("on hold"),
    "declined": gettext_lazy("declined"),
    "completed": gettext_lazy("completed"),
}


def code(said: str) -> str:
    """A word of those lists in the reader's language, however the source spells it; any other word as it is."""
    return str(CODES.get(said.lower().replace("_", " ").replace("-", " "), said))


def details(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(name, value) of each detail, in the order of `DETAILS`; what the list does not know stays unsaid."""
    for key, value in named_details(found, DETAILS):
        yield str(DETAILS[key]), value


def named_details(found: Mapping[str, object], keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(key, value in words) of those of these details that the source gives."""
    for key in keys:
        if value := _detail(found, key):
            yield key, value


def facts(found: Mapping[str, object]) -> Iterator[str]:
    """What must stand beside the entry itself: that it is ruled out, how severe, until when, what was remarked."""
    for key in ("reactions", "severity", "clinical_status", "verification_status", "diagnosis_status"):
        yield from filter(None, [_detail(found, key)])
    yield from filter(None, [_detail(found, "interpretation"), _detail(found, "status")])
    if duration := _detail(found, "duration"):
        yield _("for %(duration)s") % {"duration": duration}
    if stopped := _detail(found, "stopped"):
        yield _("stopped %(day)s") % {"day": stopped}
    elif expires := _detail(found, "expires"):
        yield _("until %(day)s") % {"day": expires}
    for key in ("instructions", "comments"):
        yield from filter(None, [_detail(found, key)])


def _detail(found: Mapping[str, object], key: str) -> str:
    """The detail in words; empty when the source says nothing. Amounts stand with their units."""
    value = found.get(key)
    if value is True:
        return _("yes")
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    if value in (None, "", False):
        return ""
    if key in DAYS:
        return short_day(str(value))
    if key in CODED:
        return code(str(value))
    if key == "duration" and (span := doses.lasting(value, found.get("duration_units"))):
        return span
    return f"{value} {found.get(f'{key}_units') or ''}".strip()
