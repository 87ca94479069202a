"""SIGKILL at every single statement that changes our store: the next run ends where it would have ended.

Reads change nothing: dying at one of them, or while the hospital answers, is dying before the next write.
"""

import pytest
from django.db import connection
from django.utils import timezone

from openmrs_sync import runs
from openmrs_sync.models import Claim, SyncRun
from passport.models import Link
from tests.crashes import story
from tests.crashes.processes import FORKING, Photograph, sync_and_die
from tests.crashes.story import LATER
from tests.integration import world
from tests.integration.world import Site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings(FORKING),
]


@pytest.fixture(autouse=True)
def _sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the state before is put back as a file")


def test_killed_at_any_write_the_next_run_ends_where_it_would_have_ended(kigali: Site) -> None:
    """T6, T13, T31: created, updated, withdrawn, moved, parked and un-parked rows, links made, held, ended, cut."""
    expected = story.tell(kigali)
    before = Photograph()
    kigali.sync(now=timezone.now() + LATER)
    wanted = story.left_behind(kigali)
    assert kigali.values() == expected
    assert {link["state"] for link in wanted["links"]} == {"linked", "held", "ended", "unlinked"}
    assert all(link["is_fresh"] and not link["n_unexplained"] for link in wanted["links"])
    n, was_killed = 0, True
    while was_killed:
        n += 1
        before.put_back()
        was_killed = sync_and_die(kigali, n)
        kigali.sync(now=timezone.now() + LATER)
        assert story.left_behind(kigali) == wanted, f"killed at write {n}"
        runs.end_dead_runs(now=timezone.now() + 2 * LATER)
        assert not SyncRun.objects.filter(status="running").exists()
    before.close()
    assert n > 30
    assert world.verified(kigali.hospital).is_well


def test_killed_over_and_over_it_gets_there_all_the_same(kigali: Site) -> None:
    """T6, T13: each run takes up what the one before left, and dies a little later; no human does anything."""
    expected = story.tell(kigali)
    before = Photograph()
    kigali.sync(now=timezone.now() + LATER)
    wanted = story.left_behind(kigali)
    before.put_back()
    before.close()
    n = 1
    while sync_and_die_later(kigali, n):
        n += 3
    assert n > 10
    assert kigali.values() == expected
    assert story.left_behind(kigali) == wanted
    assert not Link.objects.filter(n_failures__gt=0).exists()


def sync_and_die_later(site: Site, n: int) -> bool:
    """As `sync_and_die`, by a worker that comes after the lease of the one before is over."""
    Claim.objects.update(lease_until=timezone.now())
    return sync_and_die(site, n)
