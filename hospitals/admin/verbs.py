"""The verbs of the registry as an admin has them: buttons on a hospital's page, and actions on the list."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from hospitals.models import Hospital, HospitalState
from hospitals.probe import test_connection
from hospitals.registry import (
    HospitalRefused,
    pause_hospital,
    resume_hospital,
    retire_hospital,
)
from passport.admin_site import actor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalVerb:
    """Something an admin can do to a hospital: a button on its page, and an action on the list.

    `run` returns the sentence to show, or raises HospitalRefused with it. `states`: where the button is shown.
    `is_offered` narrows that to an occasion; such a verb answers what one hospital's page says, and is no action of
    the list.
    """

    name: str
    label: str
    run: Callable[[HttpRequest, Hospital], str]
    states: frozenset[str] = frozenset(HospitalState.values)
    is_offered: Callable[[Hospital], bool] | None = None

    def fits(self, hospital: Hospital) -> bool:
        return hospital.state in self.states and (self.is_offered is None or self.is_offered(hospital))


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalPage:
    """A page of its own below a hospital's. Whoever may see the hospital gets it; `view` decides what may be done."""

    address: str
    name: str
    view: Callable[[HttpRequest, Hospital], HttpResponse]


def _test(request: HttpRequest, hospital: Hospital) -> str:
    test = test_connection(hospital=hospital, now=timezone.now(), actor=actor_of(request))
    failed = [step["name"] for step in test.steps if step["result"] == "fail"]
    if failed:
        raise HospitalRefused(f"The connection failed at: {', '.join(failed)}. Open the hospital to see what to do.")
    return "The connection is good."


def _resume(request: HttpRequest, hospital: Hospital) -> str:
    resume_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Live: it is read from the next round on."


def _pause(request: HttpRequest, hospital: Hospital) -> str:
    pause_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Paused: it is not read until it goes live again."


def _retire(request: HttpRequest, hospital: Hospital) -> str:
    retire_hospital(hospital=hospital, actor=actor_of(request), now=timezone.now())
    return "Retired: it is not contacted any more, and its records stay."


#: What every hospital has; other apps append theirs to `HospitalAdmin.verbs`.
VERBS = [
    HospitalVerb(name="test", label="Test connection", run=_test),
    HospitalVerb(
        name="resume", label="Go live", run=_resume, states=frozenset({HospitalState.TESTED, HospitalState.PAUSED})
    ),
    HospitalVerb(
        name="pause", label="Pause", run=_pause, states=frozenset({HospitalState.LIVE, HospitalState.RETIRED})
    ),
    HospitalVerb(
        name="retire",
        label="Retire",
        run=_retire,
        states=frozenset(set(HospitalState.values) - {HospitalState.RETIRED}),
    ),
]
