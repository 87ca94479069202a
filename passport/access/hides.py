"""What a patient keeps from doctors and carers. The patient sees it, marked; so does a doctor in an emergency."""

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from passport.access.scope import Scope, row_name, visible, visible_links
from passport.access.shapes import AccessRefused, Basis
from passport.audit import record_event
from passport.models import Hide, Patient, User
from passport.models.access import SensitiveSet
from passport.models.record import Category


def hide_record(*, scope: Scope, actor: User, key: str, now: dt.datetime) -> Hide:
    """Keep back one entry, and every copy of it in a cloned database. Raises AccessRefused when it is not theirs."""
    _check_own(scope)
    record = visible(scope).records.filter(key=key).first()
    if record is None:
        raise AccessRefused(_("This entry is not in this record."), field="key")
    table, uuid = row_name(
        table=record.table, uuid=record.source_uuid, hospital_id=record.hospital_id, source_id=record.source_id
    )
    return _add(scope.patient, actor=actor, now=now, kind=Hide.Kind.RECORD, table=table, source_uuid=uuid)


def hide_category(*, patient: Patient, actor: User, category: str, now: dt.datetime) -> Hide:
    """Keep back a kind of entry, those to come too."""
    if category not in Category.values:
        raise AccessRefused(_("Choose one of the kinds in the list."), field="category")
    return _add(patient, actor=actor, now=now, kind=Hide.Kind.CATEGORY, category=category)


def hide_hospital(*, patient: Patient, actor: User, hospital: Any, now: dt.datetime) -> Hide:
    """Keep back all that a hospital wrote and will write."""
    return _add(patient, actor=actor, now=now, kind=Hide.Kind.HOSPITAL, hospital=hospital)


def hide_set(*, patient: Patient, actor: User, sensitive_set: str, now: dt.datetime) -> Hide:
    """Keep back a sensitive set, as far as the table of concepts knows it."""
    if sensitive_set not in SensitiveSet.values:
        raise AccessRefused(_("Choose one of the subjects in the list."), field="sensitive_set")
    return _add(patient, actor=actor, now=now, kind=Hide.Kind.SENSITIVE, sensitive_set=sensitive_set)


def show_again(*, patient: Patient, actor: User, hide_id: UUID, now: dt.datetime) -> bool:
    """Take a choice back; False when this patient made no such one."""
    with transaction.atomic():
        hide = Hide.objects.filter(pk=hide_id, patient=patient).first()
        if hide is None:
            return False
        _record("hide_removed", hide, actor=actor, now=now)
        hide.delete()
    return True


def hides_for(patient: Patient) -> list[Hide]:
    """The patient's choices, the last made first."""
    return list(Hide.objects.filter(patient=patient).select_related("hospital").order_by("-created_at", "pk"))


def hospitals_of(scope: Scope) -> list[Any]:
    """Hospitals whose records this look may show, by name: those that a patient may keep back."""
    found = {link.hospital_id: link.hospital for link in visible_links(scope)}
    return sorted(found.values(), key=lambda hospital: (hospital.name, hospital.code))


def _check_own(scope: Scope) -> None:
    if scope.basis is not Basis.ONESELF:
        raise AccessRefused(_("Only the patient decides what is shown to others."))


def _add(patient: Patient, *, actor: User, now: dt.datetime, kind: str, **what: Any) -> Hide:
    """Once is enough: the same choice again changes nothing."""
    with transaction.atomic():
        hide, is_new = Hide.objects.get_or_create(patient=patient, kind=kind, **what, defaults={"created_at": now})
        if is_new:
            _record("hide_added", hide, actor=actor, now=now)
    return hide


def _record(action: str, hide: Hide, *, actor: User, now: dt.datetime) -> None:
    # The kind alone: what is kept back must not stand where admins read.
    record_event(
        action=action, actor=actor, now=now, patient_id=hide.patient_id, details={"hide": hide.pk, "kind": hide.kind}
    )
