"""Rules of the engine, each with what a simpler engine has in its place: the machine must notice that it is gone."""

from collections.abc import Callable
from typing import Any

from openmrs_sync import balance, claims, links, queries, refresh, watcher, writer
from passport.access import scope
from passport.models import Link
from tests.rules.ward import Rule


def marks(rule: Rule) -> None:
    """A mark that is set while we read is taken down together with the one that we read for."""
    rule.instead(balance, "_FRESH", balance._FRESH.replace("fresh_marks = %s,", "fresh_marks = marks + 0 * %s,"))


def snapshot(rule: Rule) -> None:
    """Django's default, under which the very same statement gives no snapshot."""
    import hospitals.queries

    text = hospitals.queries.REPEATABLE_READ
    rule.instead(hospitals.queries, "REPEATABLE_READ", text.replace("REPEATABLE READ", "READ COMMITTED"))


def identity(rule: Rule) -> None:
    rule.instead(refresh, "_still_ours", lambda _session, *, read, persons: dict(persons))


def link_decides(rule: Rule) -> None:
    rule.instead(scope, "linked", lambda patient_id: Link.objects.filter(patient_id=patient_id))


def late_writers(rule: Rule) -> None:
    rule.instead(claims.HeldClaim, "renew", lambda _claim: None)


def equal_making(rule: Rule) -> None:
    """The digest is of the source's row, and not of what is shown."""
    digest_of = writer.digest_of

    def of_the_source_row(row: Any, salted: Any) -> int:
        own = row._replace(concept="", category="", unit="", low=None, high=None, flag=None, order_at=0, location="")
        return digest_of(own, salted)

    rule.instead(writer, "digest_of", of_the_source_row)


def gone_is_withdrawn(rule: Rule) -> None:
    rule.instead(refresh, "_lose", lambda *_, **__: None)


def sweep(rule: Rule) -> None:
    rule.reworded(links, "due", (" | Q(refreshed_at__lte=swept_before) | Q(", " | Q("))


def watch_by_crc32(rule: Rule) -> None:
    """By count and sum alone."""
    fingerprints = queries.fingerprints

    def by_sum_alone(*arguments: Any) -> str:
        return fingerprints(*arguments).replace(f"SUM(CRC32({queries.KEYS[arguments[1]][0]}))", "0")

    rule.instead(queries, "fingerprints", by_sum_alone)


def watch_of_voids(rule: Rule) -> None:
    rule.instead(watcher, "voided_obs", lambda _fetch, *, schema, before: (set(), before or b""))


def moved_or_gone(rule: Rule) -> None:
    rule.instead(refresh, "_owners", lambda _source, _session, _lost: {})


def parked_with_the_mark(rule: Rule) -> None:
    parked = "    _replace_parked(balances=balances, rendered=rendered, claim=claim, now=read_at)\n"
    rule.reworded(
        balance,
        "finish",
        (f"    {parked}", ""),
        ("            cursor.executemany(_FRESH, rows)\n", f"            cursor.executemany(_FRESH, rows)\n{parked}"),
    )


TAKEN_OUT: dict[str, Callable[[Rule], None]] = {
    rule.__name__: rule
    for rule in (
        *(marks, snapshot, identity, link_decides, late_writers, equal_making, gone_is_withdrawn, sweep),
        *(watch_by_crc32, watch_of_voids, moved_or_gone, parked_with_the_mark),
    )
}
