"""The others do not notice: a real cluster of two workers, two hospitals that hang, three that are well.

How far behind they are is measured by `./run bench lag`; here only who comes before whom.
"""

import pytest

from hospitals.models import Hospital
from openmrs_sync import queue
from openmrs_sync.models import Breaker, SyncRun
from tests.integration import world
from tests.integration.test_queue import Work, wait_for, work  # noqa: F401 - a fixture among them
from tests.integration.world import Site
from tests.openmrs.proxy import Proxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
]


def test_the_others_are_read_while_one_that_hangs_is_under_way_and_the_second_waits(
    kigali: Site,
    line: Proxy,
    work: Work,  # noqa: F811 - the fixture
) -> None:
    """T18: each that falls silent holds its worker for half a minute; both together would hold both."""
    kigali.pretend.add_obs(kigali.add_holder("1199080012345678"), "weight", 60.0)
    line.silent_after(statements=12)
    for number, code in ((2, "dead-a"), (3, "dead-b")):
        dead = world.live_hospital(kigali.pretend.server, "kigali", number=number, code=code, port=line.port)
        Breaker.objects.create(hospital=dead, n_failures=1)
    for number, code in ((4, "well-b"), (5, "well-c")):
        world.live_hospital(kigali.pretend.server, "kigali", number=number, code=code)
    well = Hospital.objects.exclude(code__startswith="dead")
    queue.enqueue_tick()
    wait_for(lambda: SyncRun.objects.filter(hospital__in=well, status="ok").values("hospital").distinct().count() == 3)
    of_dead = SyncRun.objects.filter(hospital__code__startswith="dead")
    assert list(of_dead.values_list("status", flat=True)) == ["running"]
    wait_for(lambda: of_dead.filter(status="failed", error_kind="unreachable").exists())
    wait_for(lambda: of_dead.values("hospital").distinct().count() == 2)
    line.heal()
