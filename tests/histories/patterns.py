"""What chance alone would bring too seldom: a few steps in a row that try one promise, on whoever is there."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest import mock

from openmrs_sync import links, receipts, watcher
from tests.histories.faults import Fault
from tests.histories.hospital import Edit, bystander
from tests.histories.stage import A_DAY_LATER, HistoryFailed, Stage
from tests.openmrs.hospital import PretendHospital


def quiet_days(stage: Stage, edits: list[Edit]) -> None:
    """Between two sweeps nothing but what leaves no trace: the second brings it."""
    stage.sweep()
    stage.edits(0, edits)
    stage.sweep()


def lose_records(stage: Stage, pick: int, n: int) -> None:
    """By hand, of ours: the count of both sides says how many, and the next sweep brings them back."""
    stage.sweep()
    n_lost = stage.lose_records(pick, n)
    found = receipts.receipt(hospital=stage.hospital, verify=True, now=stage.now).total
    assert found is not None
    if found.n_unexplained != n_lost:
        raise HistoryFailed(f"{n_lost} records were deleted, {found.n_unexplained} rows are unexplained.")
    stage.sweep()


def move_quietly(stage: Stage, what: str, pick: int, other: int) -> None:
    """What leaves no stamp and no new row, long after anything else moved: the deep look alone brings it.

    swap    of four results with neighbouring ids two persons get each the other's: each has as many as before, with the
            same sum of ids, and of ids as BIT_XOR of their CRC32 would have it
    void    one of them is voided, and un-voided
    give    one goes to somebody who holds no passport
    """
    h = stage.pretend
    for session in list(stage.late):
        stage.commit(session)  # what is open there may hold the very rows
    found = links.linked(stage.hospital).filter(person_id__gt=bystander(h)).order_by("person_id")
    persons = list(found.values_list("person_id", flat=True))
    if len(persons) < 2:
        return
    first, second = persons[pick % len(persons)], persons[(pick + 1 + other % (len(persons) - 1)) % len(persons)]
    with mock.patch.object(watcher, "WINDOW", 0):
        while h.add_obs(first, "pulse", 70.0) % 4 != 3:
            pass
        obs = [h.add_obs(owner, "weight", 50.0) for owner in (first, second, second, first)]
        stage.note_truth()
        stage.sweep()  # further back than any stamp of theirs
        stage.pass_time(A_DAY_LATER)
        stage.read_until_fresh()
        for edit in _edits_of(h, what, obs, (first, second)):
            edit()
            stage.note_truth()
            stage.read_until_fresh()
            stage.check_persons([first, second])


def _edits_of(h: PretendHospital, what: str, obs: list[int], persons: tuple[int, int]) -> list[Callable[[], object]]:
    first, second = persons
    if what == "void":
        return [partial(h.void_obs, obs[0]), partial(h.unvoid_obs, obs[0])]
    if what == "give":
        return [partial(h.update, "obs", obs[0], person_id=h.add_person())]

    def swap() -> None:
        for row, owner in zip(obs, (second, first, first, second), strict=True):
            h.update("obs", row, person_id=owner)

    return [swap]


def read_one_moment(stage: Stage, pick: int, n: int) -> None:
    """Somebody is edited while they are read: what is shown is what there was at the snapshot, all of it or nothing."""
    if (who := _one_of_linked(stage, pick)) is not None:
        stage.ask(who.patient)
        stage.run("tick", fault=Fault("snapshot", n, [("edits", (0, _some_edits(who)))]))


def ask_while_read(stage: Stage, pick: int, n: int) -> None:
    """And somebody asks for them anew: they are read again at the next look."""
    if (who := _one_of_linked(stage, pick)) is not None:
        stage.ask(who.patient)
        meanwhile = [("edits", (0, _some_edits(who))), ("ask", (who.patient,))]
        stage.run("tick", fault=Fault("snapshot" if n % 2 else "written", n, meanwhile))
        stage.run("tick")


def _some_edits(who: "Who") -> list[Edit]:
    return [("add_number", who.person, 0, 1), ("add_visit", who.person, 0, 0), ("void_obs", 0, 0, 0)]


def park_and_die(stage: Stage, pick: int, n: int) -> None:
    """Between two writes of the parked rows, right before or after the mark."""
    if (who := _one_of_linked(stage, pick)) is not None:
        stage.edits(0, [("add_text", who.person, 0, 0)])
        stage.ask(who.patient)
        stage.run("tick", fault=Fault("parked", n, "kill"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A linked person: their place among those whom the verbs choose from, and their patient's among the holders."""

    person: int
    patient: int


def _one_of_linked(stage: Stage, pick: int) -> Who | None:
    h = stage.pretend
    found = h.execute("SELECT patient_id FROM patient WHERE patient_id > %s ORDER BY patient_id", (bystander(h),))
    places = {person_id: place for place, (person_id,) in enumerate(found)}
    linked = [link for link in links.linked(stage.hospital).order_by("person_id") if link.person_id in places]
    if not linked:
        return None
    link = linked[pick % len(linked)]
    return Who(person=places[link.person_id], patient=list(stage.holders).index(link.patient_id))


#: What a history ends with, one of them: (stage, pick, n).
ENDINGS: tuple[Callable[[Stage, int, int], None], ...] = (
    lambda stage, pick, n: read_one_moment(stage, pick, 1 + n),
    lambda stage, pick, n: move_quietly(stage, "swap", pick, n),
    lambda stage, pick, n: ask_while_read(stage, pick, 1 + n),
    lambda stage, pick, n: park_and_die(stage, pick, 1 + n % 3),
    lambda stage, pick, n: move_quietly(stage, "give", pick, n),
    lambda stage, pick, n: lose_records(stage, pick, 1 + n % 5),
    lambda stage, pick, n: move_quietly(stage, "void", pick, n),
)
