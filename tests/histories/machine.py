"""The state machine: random steps at the hospital and on our side, and after each of them what must hold.

A failing history is printed as the calls that make it, shortest first; paste it into `examples`. Hypothesis takes each
rule as often as any other, so a rule's weight is in what it does: many cheap edits at once, or one costly look.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition

from tests.histories import patterns
from tests.histories.faults import Fault
from tests.histories.hospital import SILENT, VERBS, WHO, Edit
from tests.histories.stage import MINUTE, Place, Stage

#: Between two looks that compare everything: each costs as much as a hundred edits.
STEPS_BETWEEN = 80

small = st.integers(0, 15)
sessions = st.sampled_from([0, 0, 0, 0, 1, 2])
verbs = st.sampled_from(sorted(VERBS))
#: A run has some eighty statements on each side, and one of many batches some hundreds.
moments = st.one_of(st.integers(1, 90), st.integers(1, 90), st.integers(91, 500))
kinds = st.sampled_from(["sync", "sync", "due", "tick", "tick", "tick", "full", "patient", "sweep"])
#: (what, pick, other, n)
an_edit = st.tuples(verbs, small, small, small)
a_silent_edit = st.tuples(st.sampled_from(sorted(SILENT)), small, small, small)
a_change_of_who = st.tuples(st.sampled_from(sorted(WHO)), small, small, small)

our_steps = st.one_of(
    st.tuples(st.just("decide"), st.tuples(small, small, st.booleans())),
    st.tuples(st.just("undo"), st.tuples(small)),
    st.tuples(st.just("add_number"), st.tuples(small, small)),
    st.tuples(st.just("register"), st.tuples(small)),
    st.tuples(st.just("correct_number"), st.tuples(small, small, small)),
    st.tuples(st.just("list_placeholder"), st.tuples(small, st.booleans())),
    st.tuples(st.just("join"), st.tuples(small, small)),
    st.tuples(st.just("part"), st.tuples(small)),
    st.tuples(st.just("erase"), st.tuples(small)),
    st.tuples(st.just("configure"), st.tuples(st.sampled_from(["zone", "rule", "types"]), small, small)),
    st.tuples(st.just("commit"), st.tuples(st.sampled_from([1, 2]))),
)
some_steps = st.lists(our_steps, min_size=1, max_size=3)


def rule(**drawn: Any) -> Any:
    """A rule whose calls are written down, in words that can be pasted into `examples`."""
    return lambda does: stateful.rule(**drawn)(_written_down(does))


def initialize(**drawn: Any) -> Any:
    return lambda does: stateful.initialize(**drawn)(_written_down(does))


def _written_down(does: Callable[..., None]) -> Callable[..., None]:
    @wraps(does)
    def write_down(self: "Histories", **given: Any) -> None:
        self.told.append(f"state.{does.__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})")
        does(self, **given)

    return write_down


def at_once(edits: list[Edit]) -> list[tuple[str, tuple[Any, ...]]]:
    """Edits as one step of the stage: nobody of ours looks in between."""
    return [("edits", (0, edits))]


class Histories(RuleBasedStateMachine):
    """`place` is set by `machine_at`."""

    place: ClassVar[Place]
    n_steps: ClassVar[int] = 0
    n_histories: ClassVar[int] = 0
    #: the first history that went wrong
    went_wrong: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.is_over = False
        self.ending: tuple[int, int, int] | None = None
        self.n_since_settled = self.n_since_looked = 0
        type(self).n_histories += 1
        self.stage = Stage(self.place)
        self.stage.open()

    def _do(self, step: Callable[[], Any], *, n_steps: int = 1) -> None:
        try:
            step()
        except BaseException:
            self.is_over = True
            self._remember()
            raise
        type(self).n_steps += n_steps
        self.n_since_settled += n_steps
        self.n_since_looked += n_steps
        self.stage.pass_time(MINUTE)

    def _remember(self) -> None:
        type(self).went_wrong = type(self).went_wrong or self.told

    def _see(self, step: Callable[[], Any], *, n_steps: int = 1) -> None:
        """A step that may change what is seen."""

        def and_look() -> None:
            step()
            self.stage.check_visible()

        self._do(and_look, n_steps=n_steps)

    def teardown(self) -> None:
        try:
            if not self.is_over:
                self.stage.settle()
                if self.ending is not None:
                    kind, pick, n = self.ending
                    patterns.ENDINGS[kind % len(patterns.ENDINGS)](self.stage, pick, n)
                    self.stage.check_visible()
        except BaseException:
            self._remember()
            raise
        finally:
            self.stage.close()

    @initialize(
        is_crowded=st.sampled_from([True, True, False]),
        is_in_batches=st.booleans(),
        is_line_slow=st.sampled_from([False, True]),
        ending=st.tuples(small, small, small),
    )
    def begin(
        self,
        is_crowded: bool,
        is_in_batches: bool = False,
        is_line_slow: bool = False,
        ending: tuple[int, int, int] | None = None,
    ) -> None:
        """With many persons each has few changes: nobody is read again only because of another one.

        `ending`: which pattern comes after all, when everything is equal, and on whom.
        """
        self.stage.is_in_batches, self.stage.is_line_slow = is_in_batches, is_line_slow
        self.ending = ending
        if is_crowded:
            self._see(self.stage.fill)
            self._see(lambda: self.stage.run("sync"))

    # -------------------------------------------------------------------------------- the hospital

    @rule(session=sessions, what=verbs, pick=small, other=small, n=small)
    def edit(self, session: int, what: str, pick: int, other: int, n: int) -> None:
        self._do(lambda: self.stage.edits(session, [(what, pick, other, n)]))

    @rule(session=sessions, some=st.lists(an_edit, min_size=2, max_size=12))
    def edits(self, session: int, some: list[Edit]) -> None:
        self._do(lambda: self.stage.edits(session, some), n_steps=len(some))

    @rule(some=st.lists(st.tuples(sessions, an_edit), min_size=30, max_size=90))
    def busy_day(self, some: list[tuple[int, Edit]]) -> None:
        """Of three at the hospital, two in transactions that commit late, one after the other."""
        self._do(lambda: self.stage.day(some), n_steps=len(some))

    @rule(some=st.lists(a_silent_edit, min_size=2, max_size=8))
    def edit_silently(self, some: list[Edit]) -> None:
        self._do(lambda: self.stage.edits(0, some), n_steps=len(some))

    @rule(session=st.sampled_from([1, 2]), is_kept=st.sampled_from([True, True, False]))
    def end_transaction(self, session: int, is_kept: bool) -> None:
        self._do(lambda: self.stage.commit(session) if is_kept else self.stage.rollback(session))

    @rule(n=small)
    def step_hospital_clock(self, n: int) -> None:
        self._do(lambda: self.stage.step_hospital_clock(n))

    # -------------------------------------------------------------------------------- our side

    @rule(other=small)
    def register(self, other: int) -> None:
        self._see(lambda: self.stage.register(other))

    @rule(pick=small, other=small)
    def add_number(self, pick: int, other: int) -> None:
        self._see(lambda: self.stage.add_number(pick, other))

    @rule(pick=small, other=small, n=small)
    def correct_number(self, pick: int, other: int, n: int) -> None:
        self._see(lambda: self.stage.correct_number(pick, other, n))

    @rule(other=small, is_on=st.booleans())
    def list_placeholder(self, other: int, is_on: bool) -> None:
        self._see(lambda: self.stage.list_placeholder(other, is_on))

    @rule(pick=small, other=small)
    def join(self, pick: int, other: int) -> None:
        self._see(lambda: self.stage.join(pick, other))

    @rule(pick=small)
    def part(self, pick: int) -> None:
        self._see(lambda: self.stage.part(pick))

    @precondition(lambda self: self.n_since_settled >= STEPS_BETWEEN)
    @rule(pick=small)
    def erase(self, pick: int) -> None:
        self._see(lambda: self.stage.erase(pick))

    @rule(pick=small, n=small)
    def correct_patient(self, pick: int, n: int) -> None:
        self._see(lambda: self.stage.correct_patient(pick, n))

    @rule(pick=small, other=small, is_same=st.booleans())
    def decide(self, pick: int, other: int, is_same: bool) -> None:
        self._see(lambda: self.stage.decide(pick, other, is_same))

    @rule(pick=small)
    def undo(self, pick: int) -> None:
        self._see(lambda: self.stage.undo(pick))

    @rule(what=st.sampled_from(["zone", "languages", "rule", "rule", "types"]), pick=small, n=small)
    def configure(self, what: str, pick: int, n: int) -> None:
        self._see(lambda: self.stage.configure(what, pick, n))

    @rule(n=small)
    def step_our_clock(self, n: int) -> None:
        self._do(lambda: self.stage.step_our_clock(n))

    # -------------------------------------------------------------------------------- reading

    @rule(kind=kinds, pick=small)
    def read(self, kind: str, pick: int) -> None:
        self._see(lambda: self.stage.run(kind, pick=pick))

    @rule(kind=kinds, side=st.sampled_from(["store", "source", "written"]), n=moments)
    def read_and_die(self, kind: str, side: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n if side != "written" else 1 + n % 24, "kill")))

    @rule(kind=kinds, n=moments)
    def read_and_lose_the_connection(self, kind: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault("source", n, "lose")))

    @rule(kind=kinds, is_written=st.booleans(), n=moments, what=st.sampled_from(["lock", "fill"]))
    def read_and_find_the_store_shut(self, kind: str, is_written: bool, n: int, what: str) -> None:
        side = "written" if is_written else "store"
        self._see(lambda: self.stage.run(kind, fault=Fault(side, 1 + n % 40 if is_written else n, what)))

    @rule(kind=kinds, n=st.integers(1, 40), pick=small)
    def read_while_they_rebuild_a_table(self, kind: str, n: int, pick: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault("snapshot", n, [("rebuild", (pick,))])))

    @rule(pick=small, n=st.integers(1, 25))
    def read_one_moment(self, pick: int, n: int) -> None:
        self._see(lambda: patterns.read_one_moment(self.stage, pick, n), n_steps=2)

    @rule(pick=small, n=st.integers(1, 6))
    def park_and_die(self, pick: int, n: int) -> None:
        self._see(lambda: patterns.park_and_die(self.stage, pick, n), n_steps=2)

    @rule(kind=kinds, side=st.sampled_from(["store", "source"]), n=moments)
    def read_and_be_overtaken(self, kind: str, side: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, "overtake")))

    @rule(kind=kinds, n=st.integers(1, 16), some=st.lists(an_edit, min_size=1, max_size=4))
    def oversleep(self, kind: str, n: int, some: list[Edit]) -> None:
        """Between reading and writing: the hospital goes on, and another worker reads what is newer."""
        steps = [*at_once(some), ("be_overtaken", ())]
        self._see(lambda: self.stage.run(kind, fault=Fault("written", n, steps)), n_steps=1 + len(some))
        if self.stage.is_loud:
            self._see(self.stage.look_again)

    @rule(kind=kinds, side=st.sampled_from(["store", "source"]), n=moments, meanwhile=some_steps)
    def read_while(self, kind: str, side: str, n: int, meanwhile: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, meanwhile)), n_steps=1 + len(meanwhile))

    @rule(kind=kinds, n=st.integers(1, 40), some=st.lists(an_edit, min_size=1, max_size=4))
    def read_while_they_edit(self, kind: str, n: int, some: list[Edit]) -> None:
        """In the middle of a snapshot."""
        self._see(lambda: self.stage.run(kind, fault=Fault("snapshot", n, at_once(some))), n_steps=1 + len(some))

    @rule(kind=kinds, some=st.lists(a_change_of_who, min_size=1, max_size=3))
    def read_who_is_somebody_else_by_then(self, kind: str, some: list[Edit]) -> None:
        """Between the look and the snapshot."""
        self._see(lambda: self.stage.run(kind, fault=Fault("planned", 1, at_once(some))), n_steps=1 + len(some))

    @rule(kind=kinds, is_written=st.booleans(), n=st.integers(1, 12), some=st.lists(an_edit, max_size=3), pick=small)
    def ask_in_the_middle(self, kind: str, is_written: bool, n: int, some: list[Edit], pick: int) -> None:
        """Somebody asks for a fresh read while we read or write: what was edited by then is there at the next look."""
        steps = [*at_once(some), ("ask", (pick,))]
        side = "written" if is_written else "snapshot"
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, steps)), n_steps=2 + len(some))
        self._see(lambda: self.stage.run("tick"))

    @precondition(lambda self: self.n_since_settled >= STEPS_BETWEEN)
    @rule(some=st.lists(a_silent_edit, min_size=1, max_size=3))
    def quiet_days(self, some: list[Edit]) -> None:
        self._do(lambda: patterns.quiet_days(self.stage, some), n_steps=2 + len(some))

    @precondition(lambda self: self.n_since_settled >= STEPS_BETWEEN)
    @rule(what=st.sampled_from(["swap", "void", "give"]), pick=small, other=small)
    def move_quietly(self, what: str, pick: int, other: int) -> None:
        self._see(lambda: patterns.move_quietly(self.stage, what, pick, other), n_steps=3)

    @precondition(lambda self: self.n_since_settled >= STEPS_BETWEEN)
    @rule(pick=small, n=st.integers(1, 5))
    def lose_records(self, pick: int, n: int) -> None:
        self._do(lambda: patterns.lose_records(self.stage, pick, n), n_steps=2)

    @precondition(lambda self: self.n_since_looked >= STEPS_BETWEEN and self.stage.is_loud)
    @rule()
    def look_again(self) -> None:
        self._see(self.stage.look_again)
        self.n_since_looked = 0

    @precondition(lambda self: self.n_since_settled >= 2 * STEPS_BETWEEN)
    @rule()
    def settle(self) -> None:
        self._do(self.stage.settle)
        self.n_since_settled = 0


def machine_at(place: Place) -> type[Histories]:
    return type("Histories", (Histories,), {"place": place, "n_steps": 0, "n_histories": 0, "went_wrong": []})
