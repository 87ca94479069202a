"""Whose provider rows are whose: an admin links a doctor's account to the rows that hospitals' databases hold of them.

What a provider row signed, its doctor may read. So a claim is made by an admin, who knows both, and never by name.
"""

import datetime as dt
from collections.abc import Collection

from django.db import transaction

from passport.access.shapes import AccessRefused
from passport.audit import record_event
from passport.models import Doctor, User


def claim(*, rows: Collection[Doctor], account: User, actor: User | None, now: dt.datetime) -> int:
    """Link these provider rows to a doctor's account; how many were not its own before.

    Raises AccessRefused when the account is no active doctor's, or a row is another account's: undo that claim first.
    """
    if not (account.is_doctor and account.is_active):
        raise AccessRefused("This account is not an active doctor's.", field="user")
    n_new = 0
    with transaction.atomic():
        for row in sorted(rows, key=lambda row: str(row.pk)):
            if Doctor.objects.filter(pk=row.pk, user=account).exists():
                continue
            if not Doctor.objects.filter(pk=row.pk, user__isnull=True).update(user=account):
                raise AccessRefused("A row is claimed by another account. Undo that claim first.")
            _record("claim_made", row, account=account, actor=actor, now=now)
            n_new += 1
    return n_new


def undo_claim(*, row: Doctor, actor: User | None, now: dt.datetime) -> bool:
    """Make it a placeholder again: what it signed opens nothing from this moment on. False: it was one."""
    with transaction.atomic():
        account = User.objects.filter(doctors=row).first()
        if account is None or not Doctor.objects.filter(pk=row.pk, user=account).update(user=None):
            return False
        _record("claim_undone", row, account=account, actor=actor, now=now)
    return True


def _record(action: str, row: Doctor, *, account: User, actor: User | None, now: dt.datetime) -> None:
    details = {"doctor": row.pk, "account": account.pk}
    record_event(action=action, actor=actor, now=now, hospital_id=row.hospital_id, details=details)
