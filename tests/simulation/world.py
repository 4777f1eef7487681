"""Worlds made from a seed: jobs of every kind and policy, and what happens to the program that runs them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from simulation.calendars import DAY, HOUR, SECOND, Every, Once, Phase, Schedule, Wall, instants_of
from simulation.ledger import JobPlan, Move, Work, World

# In 2011 eleven of these changed their clocks, by 30 minutes, 1 and 2 hours, at midnight, a minute after it and in
# the small hours, twice and four times in the year; Apia skipped a whole day.
ZONES = (
    "America/New_York", "Europe/London", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Tehran",
    "Africa/Casablanca", "Pacific/Apia", "America/St_Johns", "Atlantic/Azores", "Antarctica/Troll", "Pacific/Chatham",
    "Asia/Kolkata", "UTC",
)  # fmt: skip
YEAR = 2011

# When the clocks of that year changed, so that short worlds meet many changes.
CHANGES = (
    ("America/New_York", "03-13"), ("America/New_York", "11-06"), ("Europe/London", "03-27"),
    ("Europe/London", "10-30"),
    ("Europe/Berlin", "03-27"), ("Europe/Berlin", "10-30"), ("Australia/Lord_Howe", "04-02"),
    ("Australia/Lord_Howe", "10-01"), ("America/Sao_Paulo", "02-20"), ("America/Sao_Paulo", "10-16"),
    ("Asia/Tehran", "03-21"), ("Asia/Tehran", "09-21"), ("Africa/Casablanca", "04-03"), ("Africa/Casablanca", "07-31"),
    ("Pacific/Apia", "04-02"), ("Pacific/Apia", "09-24"), ("Pacific/Apia", "12-30"), ("America/St_Johns", "03-13"),
    ("America/St_Johns", "11-06"), ("Atlantic/Azores", "03-27"), ("Atlantic/Azores", "10-30"),
    ("Antarctica/Troll", "03-27"), ("Antarctica/Troll", "10-30"), ("Pacific/Chatham", "04-02"),
    ("Pacific/Chatham", "09-24"),
)  # fmt: skip

DateRule = Callable[[date], bool]


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# Days of a cron expression, as text and as what it means.


def _month_end(day: date) -> int:
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def _last_working_day(day: date) -> int:
    last = day.replace(day=_month_end(day))
    return last.day - max(0, last.weekday() - 4)


def _working_day_near(day: date, wanted: int) -> int:
    aim = day.replace(day=wanted)
    if aim.weekday() == 5:
        return wanted - 1 if wanted > 1 else 3
    if aim.weekday() == 6:
        return wanted + 1 if wanted < _month_end(day) else wanted - 2
    return wanted


_DAYS: tuple[tuple[str, str, str, DateRule], ...] = (
    ("*", "*", "*", lambda d: True),
    ("?", "*", "MON-FRI", lambda d: d.weekday() < 5),
    ("*", "*", "SUN,3", lambda d: d.weekday() in (6, 2)),
    ("*", "*", "FRI-MON", lambda d: d.weekday() in (4, 5, 6, 0)),
    ("1,15,31", "*", "*", lambda d: d.day in (1, 15, 31)),
    ("L", "*", "*", lambda d: d.day == _month_end(d)),
    ("L-3", "*", "*", lambda d: d.day == _month_end(d) - 3),
    ("LW", "*", "*", lambda d: d.day == _last_working_day(d)),
    ("15W", "*", "?", lambda d: d.day == _working_day_near(d, 15)),
    ("1W", "*", "*", lambda d: d.day == _working_day_near(d, 1)),
    ("*", "*", "FRI#2", lambda d: d.weekday() == 4 and 8 <= d.day <= 14),
    ("*", "*", "5L", lambda d: d.weekday() == 4 and d.day > _month_end(d) - 7),
    ("13", "*", "FRI", lambda d: d.day == 13 or d.weekday() == 4),
    ("*/2", "*", "MON", lambda d: d.day % 2 == 1 and d.weekday() == 0),
    ("10-20", "3,10-12", "*", lambda d: 10 <= d.day <= 20 and d.month in (3, 10, 11, 12)),
    ("*", "NOV-MAR", "7", lambda d: d.month in (11, 12, 1, 2, 3) and d.weekday() == 6),
)


Field = tuple[str, tuple[int, ...]]


def _at(rng: random.Random, size: int, most: int = 3) -> Field:
    values = sorted(rng.sample(range(size), rng.randint(1, most)))
    return ",".join(map(str, values)), tuple(values)


def _step(rng: random.Random, size: int, steps: Sequence[int]) -> Field:
    step = rng.choice(steps)
    return f"*/{step}", tuple(range(0, size, step))


def _from_step(rng: random.Random, size: int, steps: Sequence[int]) -> Field:
    first, step = rng.randrange(4), rng.choice(steps)
    return f"{first}/{step}", tuple(range(first, size, step))


def _range(rng: random.Random, size: int) -> Field:
    first, last = rng.randrange(size), rng.randrange(size)
    values = range(first, last + 1) if first <= last else [*range(first, size), *range(last + 1)]
    return f"{first}-{last}", tuple(values)


def cron(rng: random.Random, zone: str, often: bool) -> Wall:
    """Return a cron schedule; ``often``: of at least one instant an hour on its days."""
    second: Field | None = None
    all_hours: Field = ("*", tuple(range(24)))
    style = rng.randrange(6) if often else rng.randrange(6, 12)
    if style == 0:
        minute, hour = _step(rng, 60, (7, 10, 15, 20, 30)), all_hours
    elif style == 1:
        minute, hour = _at(rng, 60), all_hours
    elif style == 2:
        minute, hour = _from_step(rng, 60, (10, 15, 25)), all_hours
    elif style == 3:
        minute, hour = _at(rng, 60), _step(rng, 24, (1, 2))
    elif style == 4:
        second, minute, hour = _at(rng, 60, 2), _step(rng, 60, (20, 30)), all_hours
    elif style == 5:
        minute, hour = _from_step(rng, 60, (12, 20)), _range(rng, 24)
    elif style == 6:
        minute, hour = _at(rng, 60), _at(rng, 24)
    elif style == 7:
        minute, hour = _from_step(rng, 60, (15, 30)), _at(rng, 4, 2)
    elif style == 8:
        minute, hour = _step(rng, 60, (10, 20)), _at(rng, 4, 2)
    elif style == 9:
        second, minute, hour = _step(rng, 60, (20, 30)), _at(rng, 60, 1), _at(rng, 4, 2)
    elif style == 10:
        second, minute, hour = _at(rng, 60, 2), _at(rng, 60, 2), _at(rng, 4, 2)
    else:
        first, last = sorted(rng.sample(range(5), 2))
        minute, hour = _at(rng, 60, 2), (f"{first}-{last}", tuple(range(first, last + 1)))
    dom, month, dow, rule = rng.choice(_DAYS if not often else _DAYS[:4])
    fields = [*([second[0]] if second else []), minute[0], hour[0]]
    times = [
        h * 3600 + m * 60 + s for h in hour[1] for m in minute[1] for s in (second[1] if second else (0,))
    ]  # fmt: skip
    follows = any(text.startswith("*") for text in fields)
    expression = " ".join([*fields, dom, month, dow])
    return Wall(zone, tuple(sorted(times)), rule, follows, ("cron", expression))


def wall(rng: random.Random, zone: str) -> Wall:
    """Return an hourly, daily or weekly schedule, often at an hour that a clock change touches."""
    kind = rng.choice(("hourly", "daily", "daily", "weekly"))
    if kind == "hourly":
        minute = rng.randrange(60)
        times = tuple(hour * 3600 + minute * 60 for hour in range(24))
        return Wall(zone, times, lambda _: True, True, ("hourly", minute))
    hour = rng.choice((0, 0, 1, 2, 2, 3, 23, rng.randrange(24)))
    minute, second = rng.choice((0, 1, 15, 30, 45, 59)), rng.choice((0, 0, 30))
    text = f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")
    time = hour * 3600 + minute * 60 + second
    if kind == "daily":
        return Wall(zone, (time,), lambda _: True, False, ("daily", text))
    days = tuple(sorted(rng.sample(range(7), rng.randint(1, 5))))
    return Wall(zone, (time,), lambda day: day.weekday() in days, False, ("weekly", days, text))


def once(rng: random.Random, zone: str, begin: int, length: int) -> Once:
    if rng.random() < 0.4:
        return Once(zone, delay=rng.randrange(0, length // 2 // SECOND) * SECOND)
    return Once(zone, reading=(begin + rng.randrange(DAY // 2, length)) // (900 * SECOND) * 900 * SECOND)


def every(rng: random.Random, begin: int, shortest: int, longest: int) -> Every:
    step = rng.randint(shortest, longest) * SECOND
    if rng.random() < 0.2:
        step += rng.choice((333_333, 500_000, 1))
    anchor = begin - rng.randrange(10**6) * SECOND if rng.random() < 0.3 else None
    return Every(step, anchor)


def job(
    rng: random.Random, name: str, schedule: Schedule, pace: int, begin: int, length: int, at_once: bool = False
) -> JobPlan:
    """Return a job whose runs are so long, beside its ``pace`` in microseconds, that all policies matter.

    Args:
        at_once: Its runs return in their first turn.
    """
    overlap = rng.choice(("skip", "skip", "queue", "cancel_running", "allow"))
    catch_up = rng.choice(("latest", "latest", "all", "skip"))
    spans = rng.choice(((0,), (0,), (pace // 10,), (pace // 20, pace // 3, int(pace * 1.4)), (pace // 3, pace * 3)))
    if at_once:
        spans = (0,)
    # A run that returns at once and is tried again could be in either order with an instant of the same moment.
    fails = 0 if spans == (0,) else rng.choice((0, 3, 5, 20))
    timeout = (max(pace // 2 // SECOND, 1) + 0.253) if spans != (0,) and rng.random() < 0.4 else None
    window = None
    if catch_up == "all" or rng.random() < 0.3:
        window = float(rng.choice((pace // 2, pace * 5, pace * 40)) // SECOND + 7)
    starting = until = max_runs = None
    if rng.random() < 0.2:
        starting = begin + rng.randrange(-(length // 10), length // 2) // SECOND * SECOND
    if rng.random() < 0.15:
        until = begin + rng.randrange(length // 3, length) // SECOND * SECOND
    if rng.random() < 0.15:
        max_runs = rng.randint(1, max(2, length // pace // 3))
    return JobPlan(
        id=name,
        schedule=schedule,
        work=Work(rng.randrange(2**32), spans, fails),
        overlap=overlap,
        catch_up=catch_up,
        window=window,
        timeout=timeout,
        max_retries=rng.choice((0, 1, 3)),
        on_crash=rng.choice(("rerun", "rerun", "lost")),
        starting=starting,
        until=until,
        max_runs=max_runs,
        in_thread=spans == (0,) and rng.random() < 0.2,
        declared=rng.random() < 0.3,
    )


def comes(plan: JobPlan, begin: int, length: int) -> bool:
    """Tell whether a job made at ``begin`` has an instant to come: another one is refused."""
    instants = instants_of(plan.schedule, begin, plan.starting, begin + length)
    after = begin if plan.starting is None or plan.starting <= begin else plan.starting - 1
    first = instants.after(after - isinstance(plan.schedule, Once))
    return first is not None and (plan.until is None or first <= plan.until) and first <= begin + length + 3 * DAY


def endless(plan: JobPlan) -> bool:
    """Tell whether the job is there until the world ends, so that it can be steered."""
    return not isinstance(plan.schedule, Once) and plan.until is None and plan.max_runs is None


def moves(
    rng: random.Random,
    jobs: Sequence[JobPlan],
    length: int,
    count: int,
    pace: int,
    longest_stop: int,
    steps: bool = True,
) -> tuple[Move, ...]:
    """Return ``count`` or a few more moves, at instants on which nothing is due."""
    made: list[Move] = []
    steerable = [plan.id for plan in jobs if endless(plan)]
    paused: set[str] = set()
    tick = 40 * SECOND
    kinds = ["pause", "pause", "run", "run", "run", "stop"] + ["step", "step", "suspend"] * steps
    for _ in range(count):
        tick += rng.randrange(35 * SECOND, max(36 * SECOND, 2 * length // count)) // SECOND * SECOND
        at = tick + 500_000 + rng.randrange(1000) * 100
        kind = rng.choice(kinds)
        if at + 2 * HOUR >= length:
            break
        if kind == "stop":
            wait = rng.choice((-1.0, 5.25, pace * 2 / SECOND + 0.25))
            made.append(Move(at, "stop", seconds=wait))
            down = rng.choice((3, pace // SECOND, longest_stop // SECOND))
            tick = at // SECOND * SECOND + (int(max(wait, 0)) + rng.randint(2, max(3, down))) * SECOND
            made.append(Move(tick + 250_000 + rng.randrange(1000) * 100, "start"))
            tick += 35 * SECOND
        elif kind == "step":
            far = rng.choice((2.5, 61.0, 1799.0, 7200.0, 10_000.0, 11_000.0, 86_400.5, 3 * 86_400.0))
            made.append(Move(at, "step", seconds=far * rng.choice((1, -1))))
            tick += 35 * SECOND
        elif kind == "suspend":
            made.append(Move(at, "suspend", seconds=rng.choice((1.5, 20.0, 3600.0, 36_000.0, 200_000.0))))
            tick += 35 * SECOND
        elif steerable:
            name = rng.choice(steerable)
            if kind == "pause":
                kind = "resume" if name in paused else "pause"
                paused ^= {name}
            made.append(Move(at, "pause" if kind == "pause" else "resume" if kind == "resume" else "run", name))
    return tuple(made)


def _end(made: Sequence[Move], length: int) -> int:
    """Return the tick of the world's end, a while after the last move."""
    return max(length, *(move.at // SECOND * SECOND + HOUR for move in made), 0) + 700_000


def small(seed: int) -> World:
    """Return a world of a few days around a change of clocks, with a handful of jobs and a dozen moves."""
    rng = random.Random(seed)
    changing, day = rng.choice(CHANGES)
    change = datetime.fromisoformat(f"{YEAR}-{day}T00:00:00+00:00")
    begin = microseconds(change) - DAY // 2 - rng.randrange(43_200) * SECOND
    length = rng.randint(2, 4) * DAY
    jobs: list[JobPlan] = []
    while len(jobs) < 7:
        zone = rng.choice((changing, changing, rng.choice(ZONES)))
        kind = rng.randrange(6)
        pace = HOUR
        schedule: Schedule
        if kind == 0:
            schedule = once(rng, zone, begin, length)
        elif kind <= 2:
            schedule = every(rng, begin, 120, 9000)
            pace = schedule.step
        elif kind == 3:
            schedule = wall(rng, zone)
        else:
            schedule = cron(rng, zone, often=kind == 4)
            pace = rng.choice((1200 * SECOND, HOUR))
        plan = job(rng, f"job-{len(jobs)}", schedule, pace, begin, length)
        if comes(plan, begin, length):
            jobs.append(plan)
    made = moves(rng, jobs, length, rng.randint(4, 18), HOUR, DAY)
    return World(seed, begin, _end(made, length), tuple(jobs), made)


def year(seed: int, occurrences: int) -> World:
    """Return a year in all zones with about so many instants.

    A run that lasts costs three wake-ups; the great number comes from runs that return at once, many in the same
    minute.
    """
    rng = random.Random(seed)
    begin = microseconds(datetime(YEAR, 1, 1, tzinfo=UTC))
    length = 370 * DAY
    jobs: list[JobPlan] = []
    walls: list[Schedule] = []
    for zone in ZONES:
        walls += [
            wall(rng, zone),
            cron(rng, zone, often=False),
            cron(rng, zone, often=True),
            once(rng, zone, begin, length),
        ]
    for schedule in walls:
        while True:
            pace = rng.choice((1200 * SECOND, HOUR))
            plan = job(rng, f"job-{len(jobs)}", schedule, pace, begin, length, at_once=rng.random() < 0.7)
            # Most are there the whole year.
            if rng.random() < 0.8:
                plan = replace(plan, starting=None, until=None, max_runs=None)
            if comes(plan, begin, length):
                break
        jobs.append(plan)
    left = occurrences - sum(len(through(plan, begin, length)) for plan in jobs)
    for _ in range(12):
        schedule = every(rng, begin, 7200, 30_000)
        jobs.append(job(rng, f"job-{len(jobs)}", schedule, schedule.step, begin, length))
    while left > 0:
        schedule = Every(rng.choice((5, 10, 15, 20, 30)) * 60 * SECOND)
        plan = job(rng, f"job-{len(jobs)}", schedule, schedule.step, begin, length, at_once=True)
        jobs.append(replace(plan, starting=None, until=None, max_runs=None, in_thread=False))
        left -= length // schedule.step
    made = moves(rng, jobs, length, 250, HOUR, DAY)
    return World(seed, begin, _end(made, length), tuple(jobs), made)


def through(plan: JobPlan, begin: int, length: int) -> Sequence[int]:
    """Return the instants of the job between the world's begin and end, by a clock that nobody sets."""
    instants = instants_of(plan.schedule, begin, plan.starting, begin + length)
    first = begin if plan.starting is None else max(begin, plan.starting - 1)
    last = begin + length if plan.until is None else min(begin + length, plan.until)
    if isinstance(instants, Phase):
        return range(instants.after(first) or 0, last + 1, instants.step)
    return instants.through(first + 1, last)


def pausing() -> World:
    """Return a world in which pauses fall into the waits for a retry, of a planned run and of one started by hand."""
    begin = microseconds(datetime(YEAR, 1, 1, tzinfo=UTC))
    work = Work(0, (7 * SECOND,), fails=1)
    job = JobPlan("job-0", Every(600 * SECOND), work, max_retries=2, backoff=30.117)
    halves = (
        Move(620 * SECOND, "pause", "job-0"),
        Move(700 * SECOND, "resume", "job-0"),
        Move(900 * SECOND, "run", "job-0"),
        Move(920 * SECOND, "pause", "job-0"),
        Move(1_000 * SECOND, "resume", "job-0"),
    )
    made = tuple(replace(move, at=move.at + SECOND // 2) for move in halves)
    return World(-1, begin, _end(made, 0), (job,), made)
