"""`./run bench pages`: every page of a patient with 5,000 records, eight clients at once, gunicorn with two workers.

The yardstick is the same view of a passport in which nothing is recorded, asked for in turn with the full one, so that
both meet the same machine. Each view is asked for by itself, by eight clients that do not pause between two requests.
CPU is what gunicorn's processes used, divided by the requests; it moves less than the time when others work beside us.
"""

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.audit_writers import STORES, store
from bench.web import Answer, Client, Served, cookies_of, quantile, served, set_up_django, token_of

CLIENTS = 8
#: The 95th percentile of a view must stay below so many ms, and its median within so many times the empty one's.
LIMIT_MS, LIMIT_TIMES = 200, 4
#: A first load in all: page, style, icons, script; bytes as they are sent.
LIMIT_BYTES = 100_000
ROUNDS = 4


@dataclass(slots=True, kw_only=True)
class View:
    name: str
    address: str
    empty_address: str = ""  # where the empty passport has none such
    headers: Mapping[str, str]
    empty_headers: Mapping[str, str]
    answers: list[Answer] = field(default_factory=list)
    empty_answers: list[Answer] = field(default_factory=list)
    cpu: float = 0.0
    empty_cpu: float = 0.0


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="./run bench pages", description=__doc__.split("\n")[0])
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=160, help="of each view (160)")
    options = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory(prefix="passport-pages-") as var, store(options.store, Path(var)) as url:
        set_up_django(var, database_url=url)
        views = fill(n_records=options.records)
        with served("passport.wsgi") as server:
            for view in views:
                measure(view, server=server, n=options.requests)
    return report(views, store_name=options.store, n_records=options.records)


def fill(*, n_records: int) -> list[View]:
    """A full and an empty passport, and the views of both."""
    from django.db import connections
    from django.urls import reverse
    from django.utils import timezone

    from bench import histories
    from passport.models import Record

    now = timezone.now()
    sites = histories.hospitals(now=now)
    full = histories.patient(number=1, sites=sites, n_records=n_records, now=now)
    empty = histories.patient(number=2, sites=sites, n_records=0, now=now)
    newest = Record.objects.filter(concept=histories.TESTS[0]).order_by("-order_at", "-key").first()
    key = newest.key if newest else ""
    pages = {"headers": cookies_of(full.user), "empty_headers": cookies_of(empty.user)}
    programs = {"headers": token_of(full.user), "empty_headers": token_of(empty.user)}
    history, days = reverse("own_history"), "from=2024-01-01&to=2026-12-31"
    found = [
        View(name="overview", address="/", empty_address="/", **pages),
        View(name="history", address=history, empty_address=history, **pages),
        View(
            name="history, four filters",
            address=f"{history}?category=test&hospital=remera&{days}&flagged=1",
            empty_address=f"{history}?category=test&{days}&flagged=1",
            **pages,
        ),
        View(name="search", address=f"{history}?q=glycemie", empty_address=f"{history}?q=glycemie", **pages),
        View(name="results", address=reverse("own_results"), empty_address=reverse("own_results"), **pages),
        View(name="one trend", address=reverse("own_trend", args=[key]), **pages),
        View(name="medicines", address=reverse("own_medicines"), empty_address=reverse("own_medicines"), **pages),
        View(name="one record", address=reverse("own_record", args=[key]), **pages),
        View(name="API, records", address="/api/me/records", empty_address="/api/me/records", **programs),
    ]
    connections.close_all()
    return found


def measure(view: View, *, server: Served, n: int) -> None:
    """Rounds of the full and of the empty passport, one after the other."""
    ask(view.address, view.headers, server=server, n=CLIENTS)
    for _round in range(ROUNDS):
        began = server.cpu()
        view.answers += ask(view.address, view.headers, server=server, n=n // ROUNDS)
        between = server.cpu()
        view.cpu += between - began
        if view.empty_address:
            view.empty_answers += ask(view.empty_address, view.empty_headers, server=server, n=n // ROUNDS)
            view.empty_cpu += server.cpu() - between


def ask(address: str, headers: Mapping[str, str], *, server: Served, n: int) -> list[Answer]:
    """So many requests by eight clients, none of which pauses. Ends the bench at an answer that is not 200."""
    answers: list[Answer] = []

    def visit() -> None:
        client = Client(port=server.port, headers=headers)
        answers.extend(client.get(address) for _ in range(max(1, n // CLIENTS)))

    visitors = [threading.Thread(target=visit) for _ in range(CLIENTS)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    wrong = {answer.status for answer in answers} - {200}
    if wrong or not answers:
        raise SystemExit(f"{address} answered {sorted(wrong)}.")
    return answers


def report(views: Sequence[View], *, store_name: str, n_records: int) -> int:
    load = os.getloadavg()[0]
    print(f"pages of {n_records:,} records, {store_name}, {CLIENTS} clients, 2 workers; load average {load:.1f}")
    print(f"{'':<24}{'KB':>7}{'p50, ms':>9}{'p95, ms':>9}{'CPU, ms':>9}{'empty p50':>11}{'times':>7}{'CPU times':>11}")
    is_good = True
    for view in views:
        row = figures(view)
        is_good = is_good and row["p95"] < LIMIT_MS and row["times"] <= LIMIT_TIMES
        print(
            f"{view.name:<24}{row['kb']:>7.1f}{row['p50']:>9.0f}{row['p95']:>9.0f}{row['cpu']:>9.1f}"
            f"{row['empty_p50']:>11.0f}{row['times']:>7.2f}{row['cpu_times']:>11.2f}"
        )
    print(f"{'target':<24}{'':>7}{'':>9}{LIMIT_MS:>9}{'':>9}{'':>11}{LIMIT_TIMES:>7.2f}")
    print("All targets are met." if is_good else "A target is missed.")
    return 0 if is_good else 1


def figures(view: View) -> dict[str, float]:
    """Milliseconds, KB, and ratios to the empty passport; 0 where it has no such view."""
    seconds = [answer.seconds for answer in view.answers]
    found: dict[str, Any] = {
        "kb": max(answer.n_bytes for answer in view.answers) / 1000,
        "p50": quantile(seconds, 0.5),
        "p95": quantile(seconds, 0.95),
        "cpu": 1000 * view.cpu / len(view.answers),
        "empty_p50": 0.0,
        "times": 0.0,
        "cpu_times": 0.0,
    }
    if view.empty_answers:
        found["empty_p50"] = quantile([answer.seconds for answer in view.empty_answers], 0.5)
        found["times"] = found["p50"] / found["empty_p50"]
        found["cpu_times"] = view.cpu / view.empty_cpu
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
