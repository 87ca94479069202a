"""What was made of a patient's records, kept in the memory of this process for as long as they stand as they did.

To read 5,000 records again for every page of a visit here costs more than all the rest of it. So each look asks for
one *stamp* of what it may show, in one query, and what was made under the same stamp is taken from memory.

What is kept belongs to what a look may show, not to a patient: to these links, to what is hidden, left out and
sensitive, to the hospitals' names. Who may see more or less has other entries, and a hold, a
hide or a cut link leads past them in the commit that makes it. Nothing is written to a disk or sent to another process.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

from django.db.models import Count, F, Sum

from passport.access.scope import Scope, Visible, visible

Made = TypeVar("Made")

#: Records that one process keeps at most: some 40 MB.
MOST_RECORDS = 50_000
#: Seconds. What nobody asked for so long is let go of when the next is kept.
LONGEST = 600
#: Digests have 64 bits, of which no store can be trusted to add up thousands.
DIGESTS_MODULO = 2**31 - 1


class Reading:
    """What one look may show, and a stamp of how it stands; to be made once for each look, never kept itself."""

    def __init__(self, scope: Scope) -> None:
        self.seen: Visible = visible(scope)

    @cached_property
    def stamp(self) -> str:
        """Another one whenever one of these records is added, rewritten, withdrawn or deleted. One query.

        The engine writes each row with a digest of all that is shown of it and a token that grows from run to run, and
        the index holds both. Read before the records are: what is made of newer ones is kept under an older stamp, and
        that never comes back.
        """
        figures = self.seen.changing.aggregate(
            n=Count("key"), tokens=Sum("token"), digests=Sum(F("digest") % DIGESTS_MODULO)
        )
        text = f"{[str(link.pk) for link in self.seen.links]} {sorted(figures.items())}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @cached_property
    def _of(self) -> Hashable:
        """Two looks of which this is the same may show the same records, and in the same words."""
        scope = self.seen.scope
        links = [(link.pk, link.min_token, *_words_of(link.hospital)) for link in self.seen.links]
        return scope.patient.pk, tuple(links), scope.hides, scope.left_out, frozenset(scope.sets.items())

    def keep(self, *name: Hashable, n_records: Callable[[Made], int], make: Callable[[], Made]) -> Made:
        """What `make` gives, from memory where it was made before and no record has changed since.

        `name`: all that it depends on besides what may be shown, such as a language, or which ends have come by now;
        so nothing that is another one with every second.
        Whoever gets it does not change it.
        """
        key = (self._of, name)
        found = _MEMORY.get(key, stamp=self.stamp)
        if found is None:
            made = make()
            _MEMORY.put(key, stamp=self.stamp, made=made, n_records=n_records(made))
            return made
        return cast(Made, found.made)


def _words_of(hospital: Any) -> tuple[Hashable, ...]:
    """What is said of a hospital beside its records."""
    return hospital.number, hospital.code, hospital.name, hospital.time_zone


@dataclass(slots=True, kw_only=True)
class _Kept:
    stamp: str
    made: Any  # what `make` gave: of as many types as there are names
    n_records: int
    used_at: float  # of the clock that only goes forward


class _Memory:
    """The entries of this process, the one used last at the end. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._n_records = 0

    def get(self, key: Hashable, *, stamp: str) -> _Kept | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None or found.stamp != stamp:
                return None
            self._entries.move_to_end(key)
            found.used_at = time.monotonic()
            return found

    def put(self, key: Hashable, *, stamp: str, made: Any, n_records: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._drop(key)
            self._entries[key] = _Kept(stamp=stamp, made=made, n_records=n_records, used_at=now)
            self._n_records += n_records
            while self._entries:
                oldest, entry = next(iter(self._entries.items()))
                if self._n_records <= MOST_RECORDS and now - entry.used_at <= LONGEST:
                    break
                self._drop(oldest)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._n_records = 0

    def _drop(self, key: Hashable) -> None:
        gone = self._entries.pop(key, None)
        self._n_records -= gone.n_records if gone else 0


_MEMORY = _Memory()


def remember(name: Hashable, made: object) -> None:
    """Keep what stays true whatever becomes of any record; let go of like everything here."""
    _MEMORY.put(name, stamp="", made=made, n_records=1)


def recalled(name: Hashable) -> Any:
    """What was remembered under this name; None where it was not, or was let go of."""
    found = _MEMORY.get(name, stamp="")
    return found.made if found else None


def forget() -> None:
    """Let go of everything, so that the next page costs what a first one does."""
    _MEMORY.clear()
