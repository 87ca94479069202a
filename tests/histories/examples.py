"""Histories that once ended wrong, shortest form, as the state machine printed them. They are told again at every run.

Each names what was wrong. `state` is a machine that has just begun: three persons, of whom the first two are known.
"""

from collections.abc import Callable

from tests.histories.machine import Histories

Example = Callable[[Histories], None]
EXAMPLES: list[Example] = []


def example(history: Example) -> Example:
    EXAMPLES.append(history)
    return history


@example
def a_voided_row_moved_and_left_behind_what_we_kept_of_it(state: Histories) -> None:
    state.read(kind="sync", pick=0)
    state.edit(session=0, what="void_obs", pick=0, other=0, n=0)
    state.read(kind="sync", pick=0)
    state.edit(session=0, what="give_obs_to_another", pick=0, other=1, n=0)
    state.settle()


@example
def a_number_lost_its_modifier_with_its_datatype(state: Histories) -> None:
    state.edit(session=0, what="add_number", pick=0, other=0, n=5)
    state.edit(session=0, what="change_datatype", pick=0, other=0, n=1)
    state.settle()


@example
def a_link_came_back_with_rows_that_were_somebody_elses_by_then(state: Histories) -> None:
    state.settle()
    state.edit(session=0, what="void_identifier", pick=0, other=0, n=0)
    state.settle()
    state.edit(session=0, what="give_obs_to_another", pick=0, other=1, n=0)
    state.settle()
    state.edit(session=0, what="unvoid_identifier", pick=0, other=0, n=0)
    for n in range(25, 60, 5):  # before the look, in it, and between it and the read
        state.read_and_lose_the_connection(kind="tick", n=n)


@example
def of_two_patients_called_the_same_the_first_by_its_id_won(state: Histories) -> None:
    state.register(other=2)
    state.edit(session=0, what="add_identifier", pick=0, other=1, n=0)
    state.settle()
    for other in (0, 1, 0):
        state.decide(pick=1, other=other, is_same=True)
        state.settle()


@example
def a_group_was_named_for_another_persons_result(state: Histories) -> None:
    state.register(other=2)
    state.edit(session=0, what="add_group", pick=0, other=0, n=1)
    state.edit(session=0, what="give_obs_to_another", pick=3, other=1, n=0)
    state.settle()


@example
def an_encounter_was_placed_by_another_persons_visit(state: Histories) -> None:
    state.register(other=2)
    state.edit(session=0, what="change_encounter_place", pick=0, other=0, n=3)
    state.edit(session=0, what="move_visit", pick=0, other=1, n=0)
    state.settle()


@example
def a_person_whose_second_number_was_registered_in_the_run_was_written_to_the_first_ones_holder(
    state: Histories,
) -> None:
    state.edit(session=0, what="add_identifier", pick=0, other=6, n=0)
    state.read(kind="sync", pick=0)
    # once every number's holder is known to the run, and nobody is read yet
    state.read_while(kind="full", side="planned", n=1, meanwhile=[("register", (7,))])


@example
def a_link_came_back_to_its_patient_with_what_was_deleted_while_it_was_held(state: Histories) -> None:
    """It is seen as withdrawn, by the patient who saw it before: that was called wrong."""
    state.settle()
    state.edit(session=0, what="add_identifier", pick=0, other=1, n=0)
    state.register(other=2)
    state.settle()
    state.edit(session=0, what="purge_encounter", pick=0, other=0, n=0)
    state.edit(session=0, what="void_identifier", pick=2, other=0, n=0)
    state.settle()


@example
def a_link_went_to_another_patient_without_what_was_withdrawn_before(state: Histories) -> None:
    """The first of its two patients saw it, the second never does."""
    state.register(other=3)
    state.settle()
    state.edit(session=0, what="purge_obs", pick=0, other=0, n=0)
    state.settle()
    state.edit(session=0, what="correct_identifier", pick=0, other=2, n=0)
    state.settle()
    state.edit(session=0, what="correct_identifier", pick=0, other=0, n=0)
    state.settle()


@example
def a_group_in_a_group_that_was_deleted_lost_its_name(state: Histories) -> None:
    state.edit(session=0, what="add_group", pick=0, other=0, n=1)
    state.edit(session=0, what="add_group", pick=0, other=0, n=0)
    state.edit(session=0, what="purge_only_the_group", pick=2, other=0, n=0)
    state.settle()


@example
def what_was_said_of_one_of_two_joined_passports_stayed_with_the_other_when_they_were_parted(state: Histories) -> None:
    state.register(other=2)
    state.edit(session=0, what="add_identifier", pick=0, other=1, n=0)
    state.settle()
    state.decide(pick=1, other=1, is_same=False)
    state.settle()
    state.join(pick=1, other=2)
    state.settle()
    state.edit(session=0, what="void_identifier", pick=2, other=0, n=0)
    state.part(pick=0)
    state.settle()
