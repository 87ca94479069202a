"""Cleaning up what nobody may see any more. Repeated until done; what is shown never depends on it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from hospitals.models import Hospital
from openmrs_sync import links
from openmrs_sync.claims import HeldClaim
from openmrs_sync.models import Claim, ParkedRow
from openmrs_sync.rows import chunks
from openmrs_sync.stores import record_store
from passport.models import Link
from passport.models.links import LinkState

#: A number that was mistyped for a while comes back with its withdrawn records; after this they are gone.
KEEP_ENDED = timedelta(days=30)
LINKS_AT_ONCE = 50


@transaction.atomic
def forget(*, link_ids: Sequence[UUID]) -> int:
    """Delete these links with their records and parked rows, as if they had never been; returns how many records.

    Each hospital's claim gets another token in the same commit: a run that is under way read these links before and
    must not write them afterwards. It ends, and the next one goes on.
    """
    store, n_records = record_store(), 0
    hospital_ids = Link.objects.filter(pk__in=link_ids).values_list("hospital_id", flat=True).distinct()
    for hospital_id in sorted(hospital_ids):
        Claim.objects.get_or_create(pk=hospital_id)
        Claim.objects.filter(pk=hospital_id).update(token=F("token") + 1, lease_until=None)
        token = Claim.objects.values_list("token", flat=True).get(pk=hospital_id)
        mine = list(Link.objects.filter(pk__in=link_ids, hospital_id=hospital_id).values_list("pk", flat=True))
        n_records += len(store.of_links(mine))
        store.delete_links(mine, token=token)
        ParkedRow.objects.filter(link_id__in=mine).delete()
        Link.objects.filter(pk__in=mine).delete()
    return n_records


def clean(*, hospital: Hospital, claim: HeldClaim, now: datetime) -> int:
    """Delete the records and parked rows of links that a human unlinked, that ended long ago, or of an earlier
    epoch.
    """
    here, other_epoch = Q(hospital=hospital), Q(epoch__lt=hospital.epoch) | Q(epoch__gt=hospital.epoch)
    is_old = (here & Q(state=LinkState.ENDED, state_changed_at__lt=now - KEEP_ENDED)) | (here & other_epoch)
    # each part by an index: nearly every link is neither
    is_not_ours = (here & Q(state=LinkState.UNLINKED)) | is_old
    # whether there is anything to do: by the last balance, or by a refresh that never came to one
    mine = Link.objects.filter(is_not_ours).exclude(n_source=0, n_stored=0, n_parked=0, inflight=0)
    store, n_cleaned = record_store(), 0
    # a worker that lost its claim may still write there: out of sight from now on, should the link ever come back
    closed = {"min_token": claim.token} if store.has_late_writers else {}
    for part in chunks(mine.values_list("pk", flat=True)[:1_000], LINKS_AT_ONCE):
        links.note_inflight(link_ids=part, token=claim.token)
        with store.fence(claim):
            store.delete_links(part, token=claim.token)
        with claim.fence():
            ParkedRow.objects.filter(link_id__in=part).delete()
            n_cleaned += Link.objects.filter(is_not_ours, pk__in=part).update(
                n_source=0, n_stored=0, n_parked=0, n_unexplained=0, inflight=0, balance={}, fingerprint={}, **closed
            )
    return n_cleaned
