"""What goes on paper: which part of the record, and the few facts of an emergency card."""

from passport.access import Scope
from passport.access.scope import visible
from passport.history import Status
from passport.history.words import fold
from passport.models import Patient, PatientIdentifier
from passport.sharing.content import Wish

#: Names by which hospitals ask for the blood group. CIEL 300 is "Blood typing", 163126 "Blood type, ABO and Rh".
BLOOD_GROUP_UUIDS = frozenset(f"{number}".ljust(36, "A") for number in (300, 163126))
BLOOD_GROUP_NAMES = frozenset({"blood group", "blood type", "blood typing", "abo and rh blood group", "groupe sanguin"})


def scope_on_paper(scope: Scope, *, wish: Wish) -> Scope:
    """The patient's own look without sensitive and hidden entries, but for those that were ticked."""
    narrower = scope.without_sensitive(but=wish.sensitive)
    return narrower if wish.with_hidden else narrower.without_hidden()


def n_entries(scope: Scope) -> int:
    return visible(scope).records.filter(status=Status.CURRENT).count()


def blood_group(scope: Scope) -> str:
    """As current records say it; empty when none does, or when they contradict each other: a wrong one kills."""
    current = visible(scope).records.filter(status=Status.CURRENT).order_by()
    said = {
        value.strip()
        for concept, uuid, value in current.values_list("concept", "concept_uuid", "value").iterator(chunk_size=1000)
        if value.strip() and (uuid in BLOOD_GROUP_UUIDS or fold(concept).strip() in BLOOD_GROUP_NAMES)
    }
    return said.pop() if len(said) == 1 else ""


def number_of(patient: Patient) -> str:
    """The newest of the patient's numbers."""
    numbers = PatientIdentifier.objects.filter(patient=patient).order_by("-created_at", "-pk")
    return numbers.values_list("number", flat=True).first() or ""
