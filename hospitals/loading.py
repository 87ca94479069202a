"""Hospitals from a JSON list or from the environment, and back to JSON without secrets.

An entry is loaded whole or refused whole, with every reason at once; the others are loaded all the same. A key that is
left out keeps what is stored, and a new hospital gets the default.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from hospitals import validation
from hospitals.models import Hospital, HospitalState
from hospitals.registry import (
    HospitalRefused,
    HospitalSettings,
    PasswordNeeded,
    change_hospital,
    create_hospital,
    enable_hospital,
)
from passport.models import User
from passport.secrets import SecretUnavailable, is_reference

REQUIRED = ("name", "host", "database", "username", "password")
KEY_BY_VARIABLE = {
    "ID": "code",
    "NAME": "name",
    "DB_HOST": "host",
    "DB_PORT": "port",
    "DB_NAME": "database",
    "DB_USER": "username",
    "DB_PASSWORD": "password",
    "DB_PASSWORD_FILE": "password",
    "ENABLED": "is_enabled",
    "NATIONAL_ID_TYPES": "national_id_types",
    "TIME_ZONE": "time_zone",
    "LOCALES": "locales",
    "TLS_MODE": "tls_mode",
}
#: No interval, pace or quiet hours of its own.
NULL_IS_A_VALUE = frozenset({"sync_interval_minutes", "pace_rows_per_second", "quiet_from", "quiet_to"})
_VARIABLE = re.compile(r"HOSPITAL_(\d{1,6})_([A-Z_]+)")

#: A hospital as given: keys of `validation.FIELDS`, values not looked at yet.
Entry = Mapping[str, object]


class NotALoad(ValueError):
    """The whole text cannot be read. The message says what is wanted."""


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What became of one entry. `position` counts from 1; `messages` are sentences, all reasons when refused."""

    position: int
    code: str
    outcome: Outcome
    messages: tuple[str, ...] = field(default=())
    hospital_id: UUID | None = None


class _EntryRefused(Exception):
    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


def hospitals_from_json(text: str) -> list[object]:
    """The entries of a JSON list.  Raises NotALoad."""
    try:
        found = json.loads(text.removeprefix("\N{BYTE ORDER MARK}"))
    except (ValueError, RecursionError):
        raise NotALoad("This is not JSON. Wanted is a list of hospitals: [{...}, {...}]") from None
    if not isinstance(found, list):
        raise NotALoad("This is JSON, but no list. Wanted is a list of hospitals: [{...}, {...}]")
    return found


def hospitals_from_environment(environ: Mapping[str, str]) -> list[object]:
    """The entries of HOSPITAL_n_… in the order of n; gaps are fine, an empty variable counts as not set.

    A variable that is not known is handed on, so that `load` refuses its entry.
    """
    entries: dict[int, dict[str, object]] = {}
    for name, value in environ.items():
        found = _VARIABLE.fullmatch(name)
        if found is None or not value.strip():
            continue
        variable = found[2]
        key = KEY_BY_VARIABLE.get(variable, name)
        given = f"file:{value.strip()}" if variable.endswith("_FILE") else value
        entry = entries.setdefault(int(found[1]), {})
        # The environment's rule for secrets: NAME_FILE wins over NAME.
        if key not in entry or variable.endswith("_FILE"):
            entry[key] = given
    return [entries[number] for number in sorted(entries)]


def load(entries: Sequence[object], now: datetime, *, actor: User | None = None) -> list[LoadResult]:
    """Create or update each hospital by its code; one result per entry, in their order."""
    results: list[LoadResult] = []
    seen: set[str] = set()
    for position, entry in enumerate(entries, start=1):
        code = _code_of(entry)
        try:
            if code and code in seen:
                raise _EntryRefused("code stands in this list before. Give each hospital a code of its own.")
            seen.add(code)
            outcome, hospital, messages = _load_one(entry, code, now, actor)
        except _EntryRefused as refused:
            results.append(LoadResult(position=position, code=code, outcome=Outcome.REFUSED, messages=refused.messages))
        else:
            results.append(
                LoadResult(position=position, code=code, outcome=outcome, messages=messages, hospital_id=hospital.pk)
            )
    return results


def dump_hospitals() -> list[dict[str, Any]]:
    """Every hospital that is not retired, as `load` takes it. A password only where it is a reference."""
    return [_entry(hospital) for hospital in Hospital.objects.exclude(state=HospitalState.RETIRED).order_by("number")]


def settings_of(hospital: Hospital) -> HospitalSettings:
    """What is stored, as `change_hospital` takes it; the password is kept."""
    values = {one.name: getattr(hospital, one.name) for one in fields(HospitalSettings) if one.name != "password"}
    values["locales"] = tuple(hospital.locales)
    values["national_id_types"] = tuple(hospital.national_id_types)
    return HospitalSettings(**values)


def _code_of(entry: object) -> str:
    """The code given, or made from the name; the empty string where neither can be used."""
    if not isinstance(entry, Mapping):
        return ""
    name = entry.get("name")
    given = entry.get("code") or (validation.code_of_name(name) if isinstance(name, str) else "")
    try:
        return validation.code(given)
    except validation.Unacceptable:
        return ""


def _load_one(entry: object, code: str, now: datetime, actor: User | None) -> tuple[Outcome, Hospital, tuple[str, ...]]:
    if not isinstance(entry, Mapping):
        raise _EntryRefused("This entry is no object. Wanted is {...} with the hospital's settings.")
    values = _validated(entry)
    enabled = values.pop("is_enabled", None)
    hospital = Hospital.objects.filter(code=code).first()
    try:
        if hospital is None:
            return _create(values, code, enabled is not False, now, actor)
        return _update(hospital, values, enabled, now, actor)
    except PasswordNeeded as error:
        raise _EntryRefused(f"password is missing. {error}") from None
    except (HospitalRefused, SecretUnavailable) as error:
        raise _EntryRefused(str(error)) from None


def _validated(entry: Entry) -> dict[str, Any]:
    """The values that were given, checked.  Raises _EntryRefused with all that is wrong."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for key, value in entry.items():
        if key not in validation.FIELDS:
            wrong.append(f"{_shown(key)} is not a setting of a hospital. Correct or remove it.")
            continue
        # null and "" say nothing, as an empty variable does; but where null has a meaning it is a value.
        if value == "" or (value is None and key not in NULL_IS_A_VALUE):
            continue
        try:
            values[key] = validation.FIELDS[key](value)
        except validation.Unacceptable as error:
            wrong.append(f"{key} {error}")
    if not _code_of(entry) and not any(one.startswith("code ") for one in wrong):
        wrong.append("code is missing and cannot be made from the name. Give one such as kigali-central.")
    if wrong:
        raise _EntryRefused(*wrong)
    return values


def _shown(key: object) -> str:
    """An unknown key, if it looks like one: JSON in the wrong shape may have a password there."""
    return key if isinstance(key, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", key) else "One key"


def _create(
    values: dict[str, Any], code: str, is_enabled: bool, now: datetime, actor: User | None
) -> tuple[Outcome, Hospital, tuple[str, ...]]:
    missing = [f"{key} is missing." for key in REQUIRED if key not in values]
    if missing:
        raise _EntryRefused(*missing)
    hospital = create_hospital(
        wanted=HospitalSettings(**{**values, "code": code}),
        actor=actor,
        now=now,
        state=HospitalState.LIVE if is_enabled else HospitalState.PAUSED,
    )
    return Outcome.CREATED, hospital, ()


def _update(
    hospital: Hospital, values: dict[str, Any], enabled: bool | None, now: datetime, actor: User | None
) -> tuple[Outcome, Hospital, tuple[str, ...]]:
    wanted = replace(settings_of(hospital), **{**values, "code": hospital.code})
    changed = change_hospital(hospital=hospital, wanted=wanted, actor=actor, now=now)
    messages: tuple[str, ...] = ()
    moved = False
    if hospital.state == HospitalState.RETIRED:
        messages = ("This hospital is retired and stays so. Pause it in admin to bring it back.",)
    elif enabled is not None:
        try:
            moved = enable_hospital(hospital=hospital, is_enabled=enabled, actor=actor, now=now)
        except HospitalRefused as error:  # the settings are good and stay
            messages = (str(error),)
    return (Outcome.UPDATED if changed or moved else Outcome.UNCHANGED), hospital, messages


def _entry(hospital: Hospital) -> dict[str, Any]:
    values: dict[str, Any] = {
        key: getattr(hospital, key) for key in validation.FIELDS if key not in {"password", "is_enabled"}
    }
    if is_reference(hospital.password_sealed):
        values["password"] = hospital.password_sealed
    for key in ("quiet_from", "quiet_to"):
        at: time | None = values[key]
        values[key] = at.isoformat("minutes") if at else None
    values["is_enabled"] = hospital.state == HospitalState.LIVE
    return {key: values[key] for key in validation.FIELDS if key in values}
