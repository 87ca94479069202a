"""`python -m bench.schedule`: how many hospitals so many workers can keep up with. A simulation with measured costs.

What is simulated: intervals, ticks, the queue, workers, the half of them that is kept from failing hospitals, breakers,
quiet hours, the deep look, the sweep, runs that the lookout asks for. What is not: the cores and the store behind the
workers (each has what it needs), and first syncs. The rules are those of `openmrs_sync.control` and `.claims`, told
again here with their constants; the costs are in `Costs`, from bench/README.md.

What counts is the lag of hospitals that are up and not in their quiet hours: the time since the start of the last look
that succeeded, taken every half minute of a day. A number of hospitals is held when the 95th percentile is at most the
interval and a minute more.
"""

import argparse
import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
TICK, DEEP_EVERY, SAMPLE = 5.0, 15 * MINUTE, 30.0
FAILURES_TO_OPEN, FIRST_PAUSE, LONGEST_PAUSE = 3, MINUTE, HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of a worker. Of a hospital with so many source rows of linked persons.

    run: an idle look with all that the queue does around it. reread: rows a second (sweep, changed persons).
    deep: per million rows. Hospitals of which one statement in ten is as slow as that are `slow`.
    """

    run: float = 0.4
    reread: float = 15_957.0
    deep_per_million: float = 0.5
    rows: float = 2_000_000.0
    changes_a_day: float = 600.0
    rows_of_a_person: float = 100.0

    def of(self, *, seconds: float, is_deep: bool) -> float:
        """A run `seconds` after the one before, whoever asked for it: what is due is read, what moved, and no more."""
        share = seconds / DAY
        read = self.rows * share + self.changes_a_day * share * self.rows_of_a_person
        return self.run + read / self.reread + (self.deep_per_million * self.rows / 1e6 if is_deep else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    n_hospitals: int
    n_workers: int
    interval: float = 5 * MINUTE
    costs: Costs = Costs()
    #: Each goes down once in so many days, for so many hours on average.
    down_every_days: float = 3.0
    down_hours: float = 4.0
    quiet_part: float = 0.2
    slow_part: float = 0.05
    slowness: float = 10.0


#: How a hospital that is down holds a worker, in seconds, and how often it is so: see docs/operations.md.
DEATHS = ((0.0, 0.4), (15.0, 0.4), (30.0, 0.15), (45.0, 0.05))


@dataclass(slots=True)
class Site:
    is_slow: bool
    is_quiet_at_night: bool
    downs: list[tuple[float, float, float]]  # from, until, seconds that a try takes
    last_try: float = -DAY
    deep_at: float = -DAY
    n_failures: int = 0
    retry_at: float = 0.0
    is_under_way: bool = False
    looks: list[tuple[float, float]] = field(default_factory=list)  # start and end of those that succeeded

    def death(self, at: float) -> float | None:
        return next((seconds for since, until, seconds in self.downs if since <= at < until), None)

    def is_quiet(self, at: float) -> bool:
        return self.is_quiet_at_night and not 5 * HOUR <= at % DAY < 22 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    median: float
    p95: float
    largest: float
    busy: float
    n_runs: int


def simulate(country: Country, *, seed: int = 1, days: float = 1.0) -> Outcome:
    """Two hours to begin with, then `days` that count."""
    drawn, end = random.Random(seed), days * DAY + 2 * HOUR
    sites = [_site(country, drawn, end) for _ in range(country.n_hospitals)]
    free, waiting, ends = country.n_workers, deque[Site](), list[tuple[float, int, Site, float, bool]]()
    busy, n_runs, order, now = 0.0, 0, 0, 0.0
    asked = [(drawn.uniform(0, DAY / max(country.costs.changes_a_day, 1e-9)), index) for index in range(len(sites))]
    heapq.heapify(asked)

    def begin(at: float) -> None:
        """Free workers take what waits."""
        nonlocal free, order, n_runs, busy
        while free and waiting:
            site = waiting.popleft()
            seconds, is_well = _run(country, site, at)
            free, order, n_runs, busy = free - 1, order + 1, n_runs + 1, busy + seconds
            heapq.heappush(ends, (at + seconds, order, site, at, is_well))

    while now < end:
        now += TICK
        while ends and ends[0][0] <= now:
            at, _, site, began, is_well = heapq.heappop(ends)
            free += 1
            _end(site, began=began, at=at, is_well=is_well, drawn=drawn)
            begin(at)
        while asked and asked[0][0] <= now:
            at, index = heapq.heappop(asked)
            heapq.heappush(asked, (at + drawn.expovariate(country.costs.changes_a_day / DAY), index))
            if not sites[index].is_under_way and not sites[index].n_failures:
                sites[index].is_under_way = True
                waiting.append(sites[index])
        waiting.extend(_due(country, sites, now))
        begin(now)
    lags = [lag for site in sites for lag in _lags(site, since=2 * HOUR, until=end)]
    cuts = statistics.quantiles(lags, n=20)
    return Outcome(
        median=statistics.median(lags),
        p95=cuts[18],
        largest=max(lags),
        busy=busy / (end * country.n_workers),
        n_runs=n_runs,
    )


def _site(country: Country, drawn: random.Random, end: float) -> Site:
    downs, at = [], 0.0
    while at < end:
        at += drawn.expovariate(1 / (country.down_every_days * DAY))
        until = at + drawn.expovariate(1 / (country.down_hours * HOUR))
        downs.append((at, until, drawn.choices([s for s, _ in DEATHS], [p for _, p in DEATHS])[0]))
        at = until
    site = Site(drawn.random() < country.slow_part, drawn.random() < country.quiet_part, downs)
    site.last_try = -drawn.uniform(0, country.interval)
    return site


def _due(country: Country, sites: Sequence[Site], now: float) -> list[Site]:
    """As `control.due_hospitals`: longest waiting first, failing ones last and only so many at once."""
    due = [
        site
        for site in sites
        if not site.is_under_way
        and site.last_try + country.interval <= now + TICK
        and site.retry_at <= now
        and not site.is_quiet(now)
    ]
    due.sort(key=lambda site: site.last_try)
    room = max(1, country.n_workers // 2) - sum(site.is_under_way and site.n_failures > 0 for site in sites)
    chosen = [site for site in due if not site.n_failures] + [site for site in due if site.n_failures][: max(0, room)]
    for site in chosen:
        site.is_under_way = True
    return chosen


def _run(country: Country, site: Site, now: float) -> tuple[float, bool]:
    """Seconds, and whether it succeeds."""
    death = site.death(now)
    if death is not None:
        site.last_try = now
        return max(death, country.costs.run / 2), False
    is_deep = now - site.deep_at >= DEEP_EVERY
    since = min(now - (site.looks[-1][0] if site.looks else now - country.interval), HOUR)
    seconds = country.costs.of(seconds=since, is_deep=is_deep)
    site.last_try, site.deep_at = now, now if is_deep else site.deep_at
    return seconds * (country.slowness if site.is_slow else 1.0), True


def _end(site: Site, *, began: float, at: float, is_well: bool, drawn: random.Random) -> None:
    site.is_under_way = False
    if is_well:
        site.n_failures, site.retry_at = 0, 0.0
        site.looks.append((began, at))
        return
    site.n_failures += 1
    if site.n_failures >= FAILURES_TO_OPEN:
        pause = min(FIRST_PAUSE * 2 ** min(site.n_failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE)
        site.retry_at = at + pause * drawn.uniform(0.8, 1.2)


def _lags(site: Site, *, since: float, until: float) -> list[float]:
    """Every half minute of those in which it was up, not in its quiet hours, and had been so for an hour."""
    found, position = [], 0
    at = since
    while at < until:
        while position + 1 < len(site.looks) and site.looks[position + 1][1] <= at:
            position += 1
        was_away = any(start - HOUR < at and at - HOUR < end for start, end, _ in site.downs)
        if site.looks and not was_away and not site.is_quiet(at) and not site.is_quiet(at - HOUR):
            found.append(at - site.looks[position][0])
        at += SAMPLE
    return found


def knee(*, n_workers: int, interval: float, costs: Costs, most: int = 5_000) -> int:
    """The largest number of hospitals, to within a twentieth, of which the lag's 95th percentile is held."""

    def is_held(n: int) -> bool:
        country = Country(n_hospitals=n, n_workers=n_workers, interval=interval, costs=costs)
        return simulate(country, days=0.25).p95 <= interval + MINUTE

    low, high = 1, most
    if not is_held(low):
        return 0
    while high - low > max(1, low // 20):
        middle = (low + high) // 2
        low, high = (middle, high) if is_held(middle) else (low, middle)
    return low


#: What a hospital is like: all its source rows of linked persons, new rows' persons a day, rows of a person.
KINDS = {
    "district, 2 M rows": Costs(),
    "of a country, 33 M rows": Costs(rows=33e6, changes_a_day=4_000.0, rows_of_a_person=400.0),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.schedule", description=__doc__.split("\n")[0])
    parser.add_argument("--hospitals", default="40,60,100,200,500")
    parser.add_argument("--workers", default="2,4,8,16")
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args(list(arguments))
    interval = options.minutes * MINUTE
    workers = [int(n) for n in options.workers.split(",")]
    for name, costs in KINDS.items():
        print(f"\n{name}; p95 of the lag in s, and how busy the workers are; interval {interval:.0f} s")
        print("| hospitals | " + " | ".join(f"{n} workers" for n in workers) + " |")
        print("| --- |" + " --- |" * len(workers))
        for n in (int(n) for n in options.hospitals.split(",")):
            cells = []
            for n_workers in workers:
                one = simulate(Country(n_hospitals=n, n_workers=n_workers, interval=interval, costs=costs))
                cells.append(f"{one.p95:,.0f} ({one.busy:.0%})")
            print(f"| {n} | " + " | ".join(cells) + " |", flush=True)
        knees = [str(knee(n_workers=n, interval=interval, costs=costs)) for n in workers]
        print("| **knee** | " + " | ".join(knees) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
