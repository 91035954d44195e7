# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Evaluates schedules at a time: which are active, and when that changes next; docs/scaling.md has the rules, ADR 6 the library."""

from __future__ import annotations

import datetime
import itertools
import platform
import sys
from typing import Iterable, Iterator, NamedTuple

from .._domain.errors import AutoscaleError
from .._domain.observation import ActiveSchedule, Scheduled
from .._domain.policy import Schedule

_UTC = datetime.timezone.utc
_MINUTE = datetime.timedelta(minutes=1)
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
# So many starts are followed where each comes before the one before it has ended: a day of an expression for every minute.
_FOLLOWED = 1440


class _Window(NamedTuple):
    """Whether a schedule is active, and when it begins or ends next."""

    active: bool
    change: float | None


class Calendar:
    """Schedules at one time. What several services have in common is worked out once.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._known: dict[tuple[object, ...], _Window | AutoscaleError] = {}

    def evaluate(self, schedules: Iterable[Schedule]) -> Scheduled:
        """Which of a policy's schedules are active; one that cannot be evaluated is an error and does not hide the others."""
        active: list[ActiveSchedule] = []
        errors: list[str] = []
        changes: list[float] = []
        for schedule in schedules:
            window = self._window(schedule)
            if isinstance(window, AutoscaleError):
                errors.append(f"schedules.{schedule.name}: {window.message}")
                continue
            if window.change is not None:
                changes.append(window.change)
            if window.active:
                moved = (schedule.min_replicas, schedule.max_replicas, schedule.replicas, schedule.pause)
                active.append(ActiveSchedule(schedule.name, *moved))
        return Scheduled(tuple(active), tuple(errors), min(changes, default=None))

    def _window(self, schedule: Schedule) -> _Window | AutoscaleError:
        """Kept by what says when: the name does not matter, nor what it moves."""
        when = (schedule.cron, schedule.duration_seconds, schedule.start, schedule.end, schedule.time_zone)
        if when not in self._known:
            try:
                self._known[when] = _window(schedule, self._now)
            except AutoscaleError as error:
                self._known[when] = error
        return self._known[when]


def _window(when: Schedule, now: float) -> _Window:
    zone = time_zone(when.time_zone)
    if when.cron is not None:
        return _repeated(when.cron, when.duration_seconds or 0.0, zone, now)
    start, end = _moment(when.start or "", zone), _moment(when.end or "", zone)
    return _Window(start <= now < end, start if now < start else end if now < end else None)


def _repeated(cron: str, duration: float, zone: datetime.tzinfo, now: float) -> _Window:
    """Active while a start lies in (now - duration, now]; starts that come before the end of the one before make one window."""
    starts = _starts(cron, zone, now - duration)
    first = next(starts, None)
    if first is None or first > now:
        return _Window(False, first)
    end = first + duration
    followed = 0
    for start in itertools.islice(starts, _FOLLOWED):
        if start > end:
            break
        end = start + duration
        followed += 1
    # One that goes on beyond what is followed does not end in any time that matters.
    return _Window(True, end if followed < _FOLLOWED else None)


def _starts(cron: str, zone: datetime.tzinfo, since: float) -> Iterator[float]:
    """The times after `since` that an expression names."""
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise AutoscaleError(
            f"the Python library 'cronsim' is missing on {platform.node()} for {sys.executable}: install it there (pip install cronsim)"
        ) from None
    if len(cron.split()) != len(_FIELDS):
        raise AutoscaleError(f"must be a cron expression of five fields ({', '.join(_FIELDS)}), got {cron!r}")
    try:
        # Without starts before 1970, so that any duration will do.
        named = CronSim(cron, datetime.datetime.fromtimestamp(max(since, 0.0), zone))
    except (CronSimError, ValueError, OverflowError) as error:
        raise AutoscaleError(f"must be a cron expression ({', '.join(_FIELDS)}), got {cron!r}: {error}") from None
    return _after(since, named)


def _after(since: float, named: Iterator[datetime.datetime]) -> Iterator[float]:
    # In the second of two hours of the same name the library goes on from the first.
    while True:
        try:
            start = next(named).timestamp()
        except (StopIteration, OverflowError):
            return
        if start > since:
            yield start


def check_cron(cron: str) -> None:
    """Refuse an expression that cannot be read or names no time at all.

    Raises:
        AutoscaleError: says what is allowed, or that the library is missing here.
    """
    if next(_starts(cron, _UTC, 0.0), None) is None:
        raise AutoscaleError(f"must name a time that comes, got {cron!r}")


def time_zone(name: str) -> datetime.tzinfo:
    """The zone of an IANA name.

    Raises:
        AutoscaleError: there is none of this name, here.
    """
    if name == "UTC":
        return _UTC
    # Loaded when needed: most policies have no schedules.
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise AutoscaleError(
            f"must be the name of a time zone such as Europe/Berlin, got {name!r}, which is not known on {platform.node()} for "
            f"{sys.executable}; a machine without time zones needs the Python library 'tzdata'"
        ) from None


def local_time(text: str) -> datetime.datetime:
    """A local time without an offset, from ISO 8601.

    Raises:
        AutoscaleError: it is none.
    """
    try:
        wall = datetime.datetime.fromisoformat(text)
    except ValueError:
        wall = None
    if wall is None or wall.tzinfo is not None or not 1970 <= wall.year < 9999:
        raise AutoscaleError(f"must be a local time such as '2026-12-24T18:00', without an offset (time_zone says where), got {text!r}")
    return wall


def _moment(text: str, zone: datetime.tzinfo) -> float:
    """When a local time is: the first of two, and for one that the clocks skip the time at which they do."""
    wall = local_time(text)
    while (moment := wall.replace(tzinfo=zone).astimezone(_UTC)).astimezone(zone).replace(tzinfo=None) != wall:
        wall = wall.replace(second=0, microsecond=0) + _MINUTE
    return moment.timestamp()
