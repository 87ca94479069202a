"""MongoDB. No transaction reaches over both stores, so a worker that lost its claim may still write here.

Every record carries the token of the claim under which it was written, and a write applies only where the stored token
is not greater. Whoever finds a link that an earlier claim was about to write seizes its records (`seize`): from then on
the earlier claim can change none of them. What it adds beside them carries a token below `Link.min_token`: reads ignore
it, and the next refresh deletes it (`drop_late`).

Documents are what Django's ORM reads: UUIDs as hex, moments as UTC without a zone, `details` as a subdocument.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import UUID

from django.db import OperationalError, connections
from pymongo import DeleteMany, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from openmrs_sync.claims import HeldClaim
from openmrs_sync.errors import ClaimLost
from openmrs_sync.rows import chunks
from openmrs_sync.stores.shapes import (
    COLUMNS,
    CURRENT,
    KEYS_AT_ONCE,
    PART_OF,
    TABLE,
    WITHDRAWN,
    RecordToWrite,
    StoredRecord,
    WrittenBy,
)

DUPLICATE_KEY = 11000
#: A refused write is tried again while no greater token is stored: two workers made the same key at once.
ATTEMPTS = 3


class MongoStore:
    """A collection of one database."""

    has_late_writers = True
    is_elsewhere = True

    def __init__(self, alias: str) -> None:
        self._connection: Any = connections[alias]  # django_mongodb_backend has no types

    @property
    def _records(self) -> Any:
        # not `get_collection`: under DEBUG that keeps every document that was ever written
        return self._connection.database[TABLE]

    @contextmanager
    def fence(self, claim: HeldClaim) -> Iterator[None]:
        """Without a transaction of the control plane: its lock would be held while another server writes."""
        claim.renew()
        yield

    # --- reading ------------------------------------------------------------------------------------------------------

    def of_links(self, link_ids: Sequence[UUID]) -> dict[str, StoredRecord]:
        found: dict[str, StoredRecord] = {}
        wanted = {"digest": 1, "link_id": 1, "status": 1}
        with _answering():
            for part in chunks(link_ids):
                link_of = {link_id.hex: link_id for link_id in part}
                for record in self._records.find({"link_id": {"$in": list(link_of)}}, wanted):
                    is_current = record["status"] == CURRENT
                    found[record["_id"]] = StoredRecord(record["digest"], link_of[record["link_id"]], is_current)
        return found

    def owners(self, keys: Sequence[str]) -> dict[str, UUID]:
        with _answering():
            return {
                record["_id"]: UUID(record["link_id"])
                for part in chunks(keys, KEYS_AT_ONCE)
                for record in self._records.find({"_id": {"$in": list(part)}}, {"link_id": 1})
            }

    def count_current(self, link_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        counted: dict[UUID, dict[str, int]] = {}
        with _answering():
            for part in chunks(link_ids):
                link_of = {link_id.hex: link_id for link_id in part}
                of_these = {"link_id": {"$in": list(link_of)}, "status": CURRENT}
                group = {"_id": {"link": "$link_id", "table": "$table"}, "n": {"$sum": 1}}
                for row in self._records.aggregate([{"$match": of_these}, {"$group": group}]):
                    counted.setdefault(link_of[row["_id"]["link"]], {})[row["_id"]["table"]] = row["n"]
        return counted

    # --- writing ------------------------------------------------------------------------------------------------------

    def upsert(self, records: Sequence[RecordToWrite], *, by: WrittenBy, are_new: bool = False) -> None:  # noqa: ARG002
        """Raises ClaimLost when one of them carries a greater token."""
        text, at = cache(_hex), _moment(by.at)
        last = (text(by.hospital_id), CURRENT, "", at, by.token)
        operations = {}
        for key, link_id, patient_id, row, part_of, digest in records:
            values = (*row[:PART_OF], part_of, *row[PART_OF + 1 :], digest, *last)
            document = dict(zip(COLUMNS, (key, text(link_id), text(patient_id), *values), strict=True))
            document["details"] = json.loads(row.details)
            # where a greater token is stored nothing matches, and the insert meets a duplicate key
            operations[key] = ReplaceOne({"_id": key, "token": {"$lte": by.token}}, document, upsert=True)
        self._write(operations, token=by.token)

    def withdraw(self, keys: Sequence[str], *, reason: str, by: WrittenBy) -> None:
        for part in chunks(keys, KEYS_AT_ONCE):
            changes = {"status": WITHDRAWN, "withdrawn_reason": reason, "digest": 0, "token": by.token}
            with _answering():
                result = self._records.update_many(_not_above(part, by.token), {"$set": changes})
            if result.matched_count < len(part):
                self._refuse_above(part, token=by.token)

    def move(self, key: str, *, link_id: UUID, patient_id: UUID, by: WrittenBy) -> None:
        owner = {"link_id": link_id.hex, "patient_id": patient_id.hex}
        changes = owner | {"status": WITHDRAWN, "withdrawn_reason": "moved", "digest": 0, "token": by.token}
        self._write({key: UpdateOne({"_id": key, "token": {"$lte": by.token}}, {"$set": changes})}, token=by.token)

    def delete(self, keys: Sequence[str], *, by: WrittenBy) -> None:
        for part in chunks(keys, KEYS_AT_ONCE):
            with _answering():
                self._records.delete_many(_not_above(part, by.token))

    def delete_links(self, link_ids: Sequence[UUID], *, token: int) -> None:
        for part in chunks(link_ids):
            of_these = {"$in": [link_id.hex for link_id in part]}
            with _answering():
                self._records.delete_many({"link_id": of_these, "token": {"$lte": token}})

    # --- late writers -------------------------------------------------------------------------------------------------

    def seize(self, link_ids: Sequence[UUID], *, token: int) -> None:
        for part in chunks(link_ids):
            of_these = {"$in": [link_id.hex for link_id in part]}
            with _answering():
                self._records.update_many({"link_id": of_these, "token": {"$lt": token}}, {"$set": {"token": token}})

    def drop_late(self, min_tokens: Mapping[UUID, int]) -> None:
        for part in chunks(min_tokens.items()):
            with _answering():
                self._records.bulk_write(
                    [DeleteMany({"link_id": link.hex, "token": {"$lt": least}}) for link, least in part], ordered=False
                )

    def _write(self, operations: Mapping[str, ReplaceOne[Any] | UpdateOne], *, token: int) -> None:
        left = dict(operations)
        for _ in range(ATTEMPTS):
            refused = self._refused(left)
            if not refused:
                return
            left = {key: left[key] for key in refused}
            self._refuse_above(refused, token=token)
        raise OperationalError("MongoDB refused keys that it does not have.")

    def _refused(self, operations: Mapping[str, ReplaceOne[Any] | UpdateOne]) -> list[str]:
        """Carry them out; the keys of those that met a duplicate key."""
        keys = list(operations)
        try:
            with _answering():
                self._records.bulk_write(list(operations.values()), ordered=False)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if any(each["code"] != DUPLICATE_KEY for each in failed) or error.details.get("writeConcernErrors"):
                # the error's own text holds whole records
                raise OperationalError("MongoDB could not write some records.") from None
            return [keys[each["index"]] for each in failed]
        return []

    def _refuse_above(self, keys: Sequence[str], *, token: int) -> None:
        """Raise ClaimLost when one of these was written under a greater token."""
        with _answering():
            above = self._records.find_one({"_id": {"$in": list(keys)}, "token": {"$gt": token}}, {"_id": 1})
        if above is not None:
            raise ClaimLost("Another worker wrote these records meanwhile. Nothing was lost: the next run goes on.")


def _not_above(keys: Sequence[str], token: int) -> dict[str, Any]:
    return {"_id": {"$in": list(keys)}, "token": {"$lte": token}}


def _hex(uuid: UUID) -> str:
    return uuid.hex


def _moment(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC).replace(tzinfo=None)


@contextmanager
def _answering() -> Iterator[None]:
    """The driver's errors become Django's: an outage is the store's failure, no person's. BulkWriteError passes."""
    try:
        yield
    except BulkWriteError:
        raise
    except PyMongoError as error:
        raise OperationalError(f"MongoDB does not answer: {type(error).__name__}.") from error
