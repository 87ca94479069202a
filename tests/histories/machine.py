"""The state machine: random steps at the hospital and on our side, and after each of them what must hold.

A failing history is printed as the calls that make it, shortest first; paste it into `examples`.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.histories.faults import Fault
from tests.histories.hospital import VERBS
from tests.histories.stage import MINUTE, Place, Stage

#: It costs as much as thirty of the others.
STEPS_BETWEEN = 12

small = st.integers(0, 7)
sessions = st.sampled_from([0, 0, 0, 0, 1, 2])
verbs = st.sampled_from(sorted(VERBS))
#: A run has some eighty statements on each side.
moments = st.integers(1, 90)
kinds = st.sampled_from(["sync", "due", "tick", "full", "patient"])

edits = st.tuples(st.just("edit"), st.tuples(st.just(0), verbs, small, small, small))
steps = st.one_of(
    edits,
    edits,
    st.tuples(st.just("decide"), st.tuples(small, small, st.booleans())),
    st.tuples(st.just("undo"), st.tuples(small)),
    st.tuples(st.just("add_number"), st.tuples(small, small)),
    st.tuples(st.just("register"), st.tuples(small)),
    st.tuples(st.just("configure"), st.tuples(st.sampled_from(["zone", "rule"]), small, small)),
    st.tuples(st.just("commit"), st.tuples(st.sampled_from([1, 2]))),
)

some_steps = st.lists(steps, min_size=1, max_size=3)


class Histories(RuleBasedStateMachine):
    """`place` is set by `machine_at`."""

    place: ClassVar[Place]
    n_steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self.n_since_settled = self.n_since_looked = 0
        self.stage = Stage(self.place)
        self.stage.open()

    def _do(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except BaseException:
            self.is_over = True
            raise
        type(self).n_steps += 1
        self.n_since_settled += 1
        self.n_since_looked += 1
        self.stage.pass_time(MINUTE)

    def _see(self, step: Callable[[], Any]) -> None:
        """A step that may change what is seen."""

        def and_look() -> None:
            step()
            self.stage.check_visible()

        self._do(and_look)

    def teardown(self) -> None:
        try:
            if not self.is_over:
                self.stage.settle()
        finally:
            self.stage.close()

    # -------------------------------------------------------------------------------- the hospital

    @rule(session=sessions, what=verbs, pick=small, other=small, n=small)
    def edit(self, session: int, what: str, pick: int, other: int, n: int) -> None:
        self._do(lambda: self.stage.edit(session, what, pick, other, n))

    @rule(session=sessions, what=verbs, pick=small, other=small, n=small)
    def edit_too(self, session: int, what: str, pick: int, other: int, n: int) -> None:
        """The same: so that half of all steps are edits."""
        self._do(lambda: self.stage.edit(session, what, pick, other, n))

    @rule(session=st.sampled_from([1, 2]))
    def commit(self, session: int) -> None:
        self._do(lambda: self.stage.commit(session))

    @rule(session=st.sampled_from([1, 2]))
    def roll_back(self, session: int) -> None:
        self._do(lambda: self.stage.rollback(session))

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

    @rule(pick=small, n=small)
    def correct_patient(self, pick: int, n: int) -> None:
        self._see(lambda: self.stage.correct_patient(pick, n))

    @rule(pick=small, other=small, is_same=st.booleans())
    def decide(self, pick: int, other: int, is_same: bool) -> None:
        self._see(lambda: self.stage.decide(pick, other, is_same))

    @rule(pick=small)
    def undo(self, pick: int) -> None:
        self._see(lambda: self.stage.undo(pick))

    @rule(what=st.sampled_from(["zone", "languages", "rule", "rule"]), pick=small, n=small)
    def configure(self, what: str, pick: int, n: int) -> None:
        self._see(lambda: self.stage.configure(what, pick, n))

    @rule(n=small)
    def step_our_clock(self, n: int) -> None:
        self._do(lambda: self.stage.step_our_clock(n))

    # -------------------------------------------------------------------------------- reading

    @rule(kind=kinds, pick=small)
    def read(self, kind: str, pick: int) -> None:
        self._see(lambda: self.stage.run(kind, pick=pick))

    @rule(kind=kinds, side=st.sampled_from(["store", "source"]), n=moments)
    def read_and_die(self, kind: str, side: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, "kill")))

    @rule(kind=kinds, n=moments)
    def read_and_lose_the_connection(self, kind: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault("source", n, "lose")))

    @rule(kind=kinds, side=st.sampled_from(["store", "source"]), n=moments)
    def read_and_be_overtaken(self, kind: str, side: str, n: int) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, "overtake")))

    @rule(kind=kinds, side=st.sampled_from(["store", "source"]), n=moments, meanwhile=some_steps)
    def read_while(self, kind: str, side: str, n: int, meanwhile: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._see(lambda: self.stage.run(kind, fault=Fault(side, n, meanwhile)))

    @precondition(lambda self: self.n_since_looked >= STEPS_BETWEEN and self.stage.is_loud)
    @rule()
    def look_again(self) -> None:
        self._see(self.stage.look_again)
        self.n_since_looked = 0

    @precondition(lambda self: self.n_since_settled >= STEPS_BETWEEN)
    @rule()
    def settle(self) -> None:
        self._do(self.stage.settle)
        self.n_since_settled = 0


def machine_at(place: Place) -> type[Histories]:
    return type("Histories", (Histories,), {"place": place, "n_steps": 0})
