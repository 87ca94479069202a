"""How often somebody asks by number and is refused: counted by account, and by the number asked for.

Only refusals count, and only those without a right are slowed: nobody can keep a doctor from a patient by asking for
that patient's number. A number that nobody holds is counted like one that somebody does.
"""

import datetime as dt
import unicodedata

from passport import attempts
from passport.models import User
from passport.registration import normalise_national_id

WINDOW = dt.timedelta(minutes=10)
#: A doctor with a crowded morning mistypes now and then; a list of numbers has hundreds.
MOST_OF_ACCOUNT = 60
#: Several doctors may ask for one new patient; many accounts that try one number are after that person.
MOST_OF_NUMBER = 20


def is_too_often(*, user: User, national_id: str, now: dt.datetime) -> bool:
    """Count one refusal; whether it was one too many."""
    number = normalise_national_id(national_id) or unicodedata.normalize("NFKC", national_id).strip().upper()
    return not attempts.take(
        [
            attempts.limit(kind="refused-lookup", subject=str(user.pk), most=MOST_OF_ACCOUNT, window=WINDOW),
            attempts.limit(kind="refused-number", subject=number, most=MOST_OF_NUMBER, window=WINDOW),
        ],
        now=now,
    )
