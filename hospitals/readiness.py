"""Whether a hospital may go live: a test of its connection has passed, and found the types of the National ID.

The one rule: the button, the action of the list and the steps of "Going live" ask it through `resume_hospital`;
files and the API through `enable_hospital`, for a hospital that is still on its way in the admin.
"""

from hospitals.models import ConnectionTest, Hospital

TYPES_STEP = "identifier_types"
NEEDS_TEST = "It cannot go live before a test of the connection has passed. Test the connection."
NEEDS_TYPE = (
    "It cannot go live before the type that holds the National ID is chosen and found there. "
    "Choose it, then test the connection."
)


def last_test(hospital: Hospital) -> ConnectionTest | None:
    return hospital.connection_tests.order_by("-at", "-pk").first()


def failed_steps(test: ConnectionTest | None) -> list[dict[str, str]]:
    """What failed, as the test stored it, but for the types: that none is chosen yet says nothing of the connection."""
    steps = test.steps if test else []
    return [step for step in steps if step["result"] == "fail" and step["name"] != TYPES_STEP]


def types_problem(test: ConnectionTest | None) -> str:
    """What the test said of the types; empty: nothing was wrong."""
    steps = test.steps if test else []
    return next((one["message"] for one in steps if one["name"] == TYPES_STEP and one["result"] == "fail"), "")


def has_found_types(hospital: Hospital, test: ConnectionTest | None) -> bool:
    """Types are chosen, and each was found at the hospital. One chosen since the test was not."""
    chosen = set(hospital.national_id_types)
    return bool(chosen) and chosen <= set(hospital.national_id_type_uuids) and not types_problem(test)


def missing(hospital: Hospital) -> str:
    """What is missing before it may go live, in a sentence with the next step; empty: nothing."""
    test = last_test(hospital)
    if test is None or failed_steps(test):
        return NEEDS_TEST
    if not has_found_types(hospital, test):
        return NEEDS_TYPE
    return "" if test.is_ok else NEEDS_TEST
