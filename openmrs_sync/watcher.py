"""The cheap look at the source: which persons may have changed since the last one. Takes `fetch` and values, returns
values.

Watch makes the sync fast; it need not be complete, because the sweep reads everyone again. `look` runs at every tick
and touches about a thousand rows per table, however large the table is. `look_deeper` runs every quarter of an hour
and finds what leaves no new row behind: purges, voids and un-voids, moved rows, changed names, units and places.
"""

import datetime as dt
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from openmrs_sync import queries
from openmrs_sync.rows import CHUNK, Fetch, Head, Schema, chunks

#: Ids below the mark that are looked at again: transactions that commit late.
WINDOW = 1_000
PAGE = 20_000
WATCHED = ("obs", "encounter", "visit", "orders", "conditions", "encounter_diagnosis", "allergy")
#: More changed entries of one dictionary than this, and everyone is read again.
MANY_ENTRIES = 200
#: Stamps are looked at again from so long before the newest one seen: what commits late.
OVERLAP = dt.timedelta(hours=2)
#: No clock on earth is further ahead of another than this, so no stamp either.
ANY_ZONE = dt.timedelta(hours=26)
#: A table with larger ids than this is never read whole: the deep look takes so many ids at once, and of stamped tables
#: one such part each time, in turn.
PART_IDS = 200_000
NOTHING_SEEN = dt.datetime(1900, 1, 1)
LOOKED_AT = "looked_at"


@dataclass(slots=True, kw_only=True)
class Look:
    """Who may have changed, and what to remember for the next look."""

    persons: set[int] = field(default_factory=set)
    heads: dict[str, Head] = field(default_factory=dict)
    #: no row in any table that had some: the source may have lost its data or we our right to read it
    is_quiet: bool = False


def look(fetch: Fetch, *, schema: Schema, heads: Mapping[str, Head]) -> Look:
    """New primary keys above the mark of every table, and changes among the last thousand below it."""
    found = Look()
    for table in WATCHED:
        if schema.has(table):
            head = heads.get(table)
            found.heads[table] = (
                _first_head(fetch, table) if head is None else _look_at(fetch, table, head, found.persons)
            )
    if schema.has("person_merge_log"):
        found.heads["person_merge_log"] = _look_at_merges(fetch, heads.get("person_merge_log"), found.persons)
    had_rows = [table for table in ("obs", "encounter", "visit") if table in heads and heads[table].mark >= 0]
    found.is_quiet = bool(had_rows) and all(found.heads[table].mark < 0 for table in had_rows if table in found.heads)
    return found


def _first_head(fetch: Fetch, table: str) -> Head:
    top = _largest(fetch, table)
    return Head(mark=top, window=dict(fetch(queries.ids_above(table), (top - WINDOW, WINDOW))))


def parts_of(fetch: Fetch, table: str) -> list[range]:
    """The ids of a table in ranges of at most PART_IDS, from 0 to the largest; one at least."""
    top = max(_largest(fetch, table), 0)
    return [range(start, start + PART_IDS) for start in range(0, top + 1, PART_IDS)]


def count_patients(fetch: Fetch) -> int:
    return sum(int(fetch(queries.count_patients(ids), ())[0][0]) for ids in parts_of(fetch, "patient"))


def voided_patients(fetch: Fetch) -> set[int]:
    """Every patient who is voided, by the patient's row or the person's."""
    return {row[0] for ids in parts_of(fetch, "patient") for row in fetch(queries.voided_among_patients(ids), ())}


def _largest(fetch: Fetch, table: str) -> int:
    """The largest id, -1 when there is none: 0 is an id."""
    ((top,),) = fetch(queries.largest_id(table), ())
    return -1 if top is None else int(top)


def _look_at(fetch: Fetch, table: str, head: Head, persons: set[int]) -> Head:
    seen: dict[int, int] = {}
    top, after = -1, head.mark - WINDOW
    lost = dict(head.window)
    while True:
        page = fetch(queries.ids_above(table), (after, PAGE))
        for source_id, owner in page:
            known = lost.pop(source_id, None)
            if source_id > head.mark or known != owner:
                persons.add(owner)
                if known is not None:
                    persons.add(known)
            seen[source_id] = owner
        if page:
            top = after = page[-1][0]
            seen = {source_id: owner for source_id, owner in seen.items() if source_id > top - WINDOW}
        if len(page) < PAGE:
            break
    # what was in the window and is gone: purged, or a restored backup
    persons.update(lost.values())
    if top < 0:
        # ids start again below the old mark after a restore: follow them down
        top = _largest(fetch, table)
    return Head(mark=top, window=seen)


def _look_at_merges(fetch: Fetch, head: Head | None, persons: set[int]) -> Head:
    if head is None:
        return Head(mark=_largest(fetch, "person_merge_log"), window={})
    mark = head.mark
    while page := fetch(queries.merges_above(), (mark, PAGE)):
        for merge_id, winner, loser in page:
            persons.update((winner, loser))
            mark = merge_id
    return Head(mark=mark, window={})


# --- the deep look ----------------------------------------------------------------------------------------------------

#: table → (its key, what it leads to): rows with change stamps that say who may have changed
STAMPED = {
    "person": ("person_id", "person"),
    "patient": ("patient_id", "person"),
    "visit": ("patient_id", "person"),
    "encounter": ("encounter_id", "encounter"),
    "encounter_provider": ("encounter_id", "encounter"),
    "conditions": ("patient_id", "person"),
    "encounter_diagnosis": ("patient_id", "person"),
    "allergy": ("patient_id", "person"),
}
STAMPS = ("date_created", "date_changed", "date_voided")

#: dictionary → columns of large tables that name its entries: (table, column)
USES = {
    "concept": (("obs", "concept_id"), ("obs", "value_coded"), ("orders", "concept_id")),
    "drug": (("obs", "value_drug"),),
    "location": (("obs", "location_id"), ("encounter", "location_id"), ("visit", "location_id")),
    "provider": (("orders", "orderer"),),
}
#: the parts that are hashed, and the dictionary that each belongs to
HASHED = {
    "concept": "concept",
    "concept_name": "concept",
    "concept_numeric": "concept",
    "drug": "drug",
    "location": "location",
    "provider": "provider",
}


def changed_fingerprints(
    fetch: Fetch, *, schema: Schema, fingerprints: Mapping[int, Mapping[str, Sequence[int]]]
) -> set[int]:
    """Persons whose set of row ids is not the one of their last refresh. Index only: no row is touched.

    `fingerprints`: person → table → [count, sum of ids, sum of CRC32(id)].
    """
    changed: set[int] = set()
    for table in WATCHED:
        if not schema.has(table):
            continue
        for part in chunks(fingerprints, CHUNK):
            now = {row[0]: [int(n) for n in row[1:]] for row in fetch(queries.fingerprints(schema, table, part), ())}
            nothing = [0, 0, 0]
            changed.update(
                person_id
                for person_id in part
                if now.get(person_id, nothing) != list(fingerprints[person_id].get(table, nothing))
            )
    return changed


def voided_obs(fetch: Fetch, *, schema: Schema, before: bytes | None) -> tuple[set[int], bytes]:
    """Persons with an obs that was voided or un-voided since the last deep look, and the set to remember
    (compressed).
    """
    ids = array("Q", sorted(row[0] for row in fetch(queries.voided_obs_ids(schema), ())))
    packed = zlib.compress(ids.tobytes())
    if before is None:
        return set(), packed
    old = array("Q")
    old.frombytes(zlib.decompress(before))
    persons: set[int] = set()
    for part in chunks(set(ids).symmetric_difference(old)):
        persons.update(owner for _, owner in fetch(queries.owners("obs", part), ()))
    return persons, packed


def stamped(fetch: Fetch, *, schema: Schema, since: Mapping[str, str]) -> tuple[set[int], dict[str, str]]:
    """Persons behind rows of the small tables whose stamps moved, and what to remember for the next look.

    `since`: table → ISO moment, the newest stamp seen there, in OpenMRS' own clock; and `LOOKED_AT` → the database
    server's. The two may be hours apart (another zone), so the server's says only what is impossible: a row stamped
    2099 must not put the watch to sleep. And it ends the overlap where nothing new comes.

    A large table is looked at in parts, one at each look in turn, and each part remembers for itself: `table/part`,
    `table/part@`; `table#` is whose turn it is. What changed in another part waits for its turn, or for the sweep.
    """
    ((source_now,),) = fetch(queries.source_now(), ())
    latest = source_now + ANY_ZONE
    looked_at = dt.datetime.fromisoformat(since[LOOKED_AT]) if LOOKED_AT in since else source_now
    persons: set[int] = set()
    encounters: set[int] = set()
    newest = {LOOKED_AT: source_now.isoformat(sep=" ")}
    for table, (key, leads_to) in STAMPED.items():
        columns = [column for column in STAMPS if schema.has(table, column)]
        if not columns:
            continue
        parts = parts_of(fetch, table)
        turn = _turn(table, n_parts=len(parts), since=since)
        if table not in since:
            seen, moments = NOTHING_SEEN, [latest] * len(columns)
            asked = [queries.largest_stamps(table, columns=columns, ids=ids) for ids in parts]
            rows = [row for sql in asked for row in fetch(sql, moments)]
        else:
            seen = dt.datetime.fromisoformat(since.get(turn.name, since[table]))
            before = dt.datetime.fromisoformat(since[turn.at]) if turn.at in since else looked_at
            start = max(min(seen, before) - OVERLAP, before - ANY_ZONE)
            ids = parts[turn.part] if len(parts) > 1 else None
            found = fetch(queries.changed_since(table, key=key, columns=columns, ids=ids), [start] * len(columns))
            (persons if leads_to == "person" else encounters).update(row[0] for row in found)
            rows = [row[1:] for row in found]
        stamps = [stamp for row in rows for stamp in row if stamp is not None and stamp <= latest]
        newest |= turn.remember(since, newest=max([seen, *stamps]), source_now=source_now, n_parts=len(parts))
    persons |= _persons_at(fetch, schema=schema, encounters=encounters)
    return persons, newest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """Whose turn it is among the parts of a table, and under which names its moments are kept."""

    table: str
    part: int
    is_first: bool

    @property
    def name(self) -> str:
        return f"{self.table}/{self.part}"

    @property
    def at(self) -> str:
        """When this part was looked at; before its first turn: when the table was seen to be large."""
        return f"{self.name}@"

    def remember(
        self, since: Mapping[str, str], *, newest: dt.datetime, source_now: dt.datetime, n_parts: int
    ) -> dict[str, str]:
        seen, looked_at = newest.isoformat(sep=" "), source_now.isoformat(sep=" ")
        if n_parts == 1:
            return {self.table: seen}
        # of every part: one without moments of its own would be looked at from the last look at another part on
        kept = {key: value for key, value in since.items() if key.startswith((f"{self.table}/", f"{self.table}#"))}
        floor, floor_at = (seen, looked_at) if self.is_first else (since[self.table], since.get(LOOKED_AT, looked_at))
        for part in range(n_parts):
            kept.setdefault(f"{self.table}/{part}", floor)
            kept.setdefault(f"{self.table}/{part}@", floor_at)
        if self.is_first:
            return {**kept, self.table: seen, f"{self.table}#": "0"}
        turned = {self.name: seen, self.at: looked_at, f"{self.table}#": str((self.part + 1) % n_parts)}
        return {**kept, **turned, self.table: since[self.table]}


def _turn(table: str, *, n_parts: int, since: Mapping[str, str]) -> _Turn:
    part = int(since.get(f"{table}#", "0")) % n_parts
    return _Turn(table=table, part=part, is_first=table not in since)


def _persons_at(fetch: Fetch, *, schema: Schema, encounters: Iterable[int]) -> set[int]:
    """Everyone whose rows hang on these encounters: not only their patient."""
    persons: set[int] = set()
    for part in chunks(set(encounters)):
        for table in ("encounter", "obs", "orders", "encounter_diagnosis"):
            if schema.has(table, "encounter_id"):
                persons.update(row[0] for row in fetch(queries.persons_of_encounters(schema, table, part), ()))
    return persons


def hash_dictionaries(fetch: Fetch, *, schema: Schema) -> dict[str, dict[int, int]]:
    """One hash per dictionary entry: concept (with names, units, ranges), drug, location, provider (with its name)."""
    parts: dict[str, dict[int, list[int]]] = {}
    for name, dictionary in HASHED.items():
        if schema.has(name):
            for entry_id, *figures in fetch(queries.dictionary_hashes(name), ()):
                parts.setdefault(dictionary, {}).setdefault(entry_id, []).extend(int(figure) for figure in figures)
    if schema.has("provider"):
        for entry_id, *figures in fetch(queries.provider_names(), ()):
            parts.setdefault("provider", {}).setdefault(entry_id, []).extend(int(figure) for figure in figures)
    return {
        dictionary: {entry_id: zlib.crc32(repr(figures).encode()) for entry_id, figures in entries.items()}
        for dictionary, entries in parts.items()
    }


def users_of_changed_entries(
    fetch: Fetch,
    *,
    schema: Schema,
    before: Mapping[str, Mapping[int, int]],
    now: Mapping[str, Mapping[int, int]],
    linked: Callable[[], Iterable[int]],
) -> set[int] | None:
    """Persons whose rows name a dictionary entry that changed; None when so many did that everyone must be read
    again. `linked`: who is read at all, for a column that the hospital has no index on.
    """
    persons: set[int] = set()
    for dictionary, entries in now.items():
        old = before.get(dictionary, {})
        changed = [entry_id for entry_id, hashed in entries.items() if entry_id in old and old[entry_id] != hashed]
        changed += [entry_id for entry_id in old if entry_id not in entries]
        if len(changed) > MANY_ENTRIES:
            return None
        if not changed:
            continue
        for table, column in USES[dictionary]:
            if (table, column) in schema.indexes:
                persons.update(
                    row[0] for row in fetch(queries.persons_using(schema, table, column=column, ids=changed), ())
                )
            elif schema.has(table, column):
                # the concept of an order: else every order of the hospital would be read for it
                for part in chunks(linked()):
                    sql = queries.persons_among(schema, table, part, column=column, ids=changed)
                    persons.update(row[0] for row in fetch(sql, ()))
        if dictionary == "provider" and schema.has("encounter_provider"):
            rows = fetch(queries.encounters_of("encounter_provider", column="provider_id", ids=changed), ())
            persons |= _persons_at(fetch, schema=schema, encounters=[row[0] for row in rows])
    return persons


def pack(hashes: Mapping[str, Mapping[int, int]]) -> bytes:
    """The hashes, compressed, for the store."""
    text = "\n".join(
        f"{dictionary} {' '.join(f'{entry_id}:{hashed}' for entry_id, hashed in entries.items())}"
        for dictionary, entries in hashes.items()
    )
    return zlib.compress(text.encode())


def unpack(packed: bytes | None) -> dict[str, dict[int, int]]:
    if not packed:
        return {}
    found: dict[str, dict[int, int]] = {}
    for line in zlib.decompress(packed).decode().splitlines():
        dictionary, *entries = line.split(" ")
        pairs = (entry.split(":") for entry in entries if entry)
        found[dictionary] = {int(entry_id): int(hashed) for entry_id, hashed in pairs}
    return found
