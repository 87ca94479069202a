"""A patient says that an entry is wrong; the hospital that wrote it hears of it, and answers or puts it right.

Nothing of a record is changed here: only the source can, and the next reading makes ours equal to it. That closes the
request by itself.

    asking     who may ask, withdraw and read what was asked      answering  what the hospital's officer says; the sheet
    checking   whether the source says something else by now      writing    mail to the hospital, with a number in it
"""

from passport.models import CorrectionRequest

State = CorrectionRequest.State
#: Waiting for the hospital.
OPEN = (State.ASKED, State.SENT)
#: A change of the source still counts.
WATCHED = (*OPEN, State.ANSWERED)

__all__ = ["OPEN", "WATCHED", "State"]
