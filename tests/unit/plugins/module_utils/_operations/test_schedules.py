# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules at a time: tables of local times, those at which the clocks change among them."""

from __future__ import annotations

import contextlib
import datetime
import sys
import zoneinfo

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import ActiveSchedule, Scheduled
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Schedule
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import schedules
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.schedules import Calendar
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3600.0
BERLIN = "Europe/Berlin"


def utc(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


def shown(time):
    return None if time is None else datetime.datetime.fromtimestamp(time, datetime.UTC).isoformat()[:19]


def repeated(cron, hours, zone="UTC", name="s"):
    return Schedule(name, cron=cron, duration_seconds=hours * HOUR, time_zone=zone, replicas=3)


def once(start, end, zone="UTC", name="s"):
    return Schedule(name, start=start, end=end, time_zone=zone, replicas=3)


def at(now, *given):
    found = Calendar(utc(now)).evaluate(given)
    return [active.name for active in found.active], shown(found.next_change)


def window(schedule, now):
    """Whether it is active, and when that changes next, in UTC."""
    names, change = at(now, schedule)
    return bool(names), change


OFFICE = repeated("0 8 * * MON-FRI", 10)
# The clocks of Berlin go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25, each at 01:00 UTC.
NIGHT = repeated("30 2 * * *", 1, BERLIN)
OVERNIGHT = repeated("0 22 * * *", 8, BERLIN)


@pytest.mark.parametrize(
    ("schedule", "now", "active", "change"),
    [
        # The start belongs to it, the end does not.
        (OFFICE, "2026-06-01T07:59:59.999", False, "2026-06-01T08:00:00"),
        (OFFICE, "2026-06-01T08:00:00", True, "2026-06-01T18:00:00"),
        (OFFICE, "2026-06-01T17:59:59.999", True, "2026-06-01T18:00:00"),
        (OFFICE, "2026-06-01T18:00:00", False, "2026-06-02T08:00:00"),
        # From Friday to Monday.
        (OFFICE, "2026-06-05T18:00:00", False, "2026-06-08T08:00:00"),
        # Over midnight, and parts of a second.
        (repeated("59 23 * * *", 1), "2026-01-01T00:58:59", True, "2026-01-01T00:59:00"),
        (Schedule("s", cron="0 0 * * *", duration_seconds=0.5), "2026-01-01T00:00:00.499", True, "2026-01-01T00:00:00"),
        (Schedule("s", cron="0 0 * * *", duration_seconds=0.5), "2026-01-01T00:00:00.500", False, "2026-01-02T00:00:00"),
        # Starts that follow one another before the end of the last make one window; so do those that meet it.
        (repeated("0 9-11 * * *", 1), "2026-01-01T09:30:00", True, "2026-01-01T12:00:00"),
        (repeated("0 9-11 * * *", 1.5), "2026-01-01T09:30:00", True, "2026-01-01T12:30:00"),
        (repeated("* 9-16 * * *", 1 / 60), "2026-01-01T09:30:00", True, "2026-01-01T17:00:00"),
        # A leap day: the next one is far away, and 2100 has none.
        (repeated("0 0 29 2 *", 24), "2028-02-28T23:59:59", False, "2028-02-29T00:00:00"),
        (repeated("0 0 29 2 *", 24), "2028-02-29T12:00:00", True, "2028-03-01T00:00:00"),
        (repeated("0 0 29 2 *", 24), "2028-03-01T00:00:00", False, "2032-02-29T00:00:00"),
        (repeated("0 0 29 2 *", 24), "2096-03-01T00:00:00", False, "2104-02-29T00:00:00"),
        # A fifth Monday in February.
        (repeated("0 0 30 2 1#5", 24), "2026-01-01T00:00:00", False, "2044-02-29T00:00:00"),
        # Of a length without sense.
        (repeated("0 0 1 1 *", 1e6), "1975-01-01T00:00:00", True, None),
        # A zone without changes of its clocks, half an hour aside.
        (repeated("0 9 * * *", 1, "Asia/Kolkata"), "2026-03-29T03:29:59", False, "2026-03-29T03:30:00"),
        (repeated("0 9 * * *", 1, "Asia/Kolkata"), "2026-10-25T03:30:00", True, "2026-10-25T04:30:00"),
        # The same time of day in winter and summer.
        (repeated("0 9 * * *", 1, BERLIN), "2026-03-28T08:00:00", True, "2026-03-28T09:00:00"),
        (repeated("0 9 * * *", 1, BERLIN), "2026-03-29T07:00:00", True, "2026-03-29T08:00:00"),
        # A start that the clocks skip is when they do.
        (NIGHT, "2026-03-29T00:59:59", False, "2026-03-29T01:00:00"),
        (NIGHT, "2026-03-29T01:00:00", True, "2026-03-29T02:00:00"),
        (NIGHT, "2026-03-29T01:30:00", True, "2026-03-29T02:00:00"),
        (NIGHT, "2026-03-29T02:00:00", False, "2026-03-30T00:30:00"),
        # Of two, the first is the start, and there is one only.
        (NIGHT, "2026-10-25T00:29:59", False, "2026-10-25T00:30:00"),
        (NIGHT, "2026-10-25T00:30:00", True, "2026-10-25T01:30:00"),
        (NIGHT, "2026-10-25T01:29:59", True, "2026-10-25T01:30:00"),
        (NIGHT, "2026-10-25T01:30:00", False, "2026-10-26T01:30:00"),
        (repeated("30 2 * * *", 0.25, BERLIN), "2026-10-25T01:40:00", False, "2026-10-26T01:30:00"),
        # Over a change: a duration is time that passes.
        (OVERNIGHT, "2026-03-28T21:00:00", True, "2026-03-29T05:00:00"),
        (OVERNIGHT, "2026-10-24T20:00:00", True, "2026-10-25T04:00:00"),
        # Every hour is every hour that passes, in both of the same name.
        (repeated("0 * * * *", 0.5, BERLIN), "2026-10-25T00:00:00", True, "2026-10-25T00:30:00"),
        (repeated("0 * * * *", 0.5, BERLIN), "2026-10-25T00:30:00", False, "2026-10-25T01:00:00"),
        (repeated("0 * * * *", 0.5, BERLIN), "2026-10-25T01:00:00", True, "2026-10-25T01:30:00"),
        (repeated("*/30 2 * * *", 0.25, BERLIN), "2026-10-25T00:50:00", False, "2026-10-25T01:00:00"),
        (repeated("*/30 2 * * *", 0.25, BERLIN), "2026-03-28T02:00:00", False, "2026-03-30T00:00:00"),
        # Once, from a local time to another.
        (once("2026-12-24T18:00", "2026-12-27", BERLIN), "2026-12-24T16:59:59", False, "2026-12-24T17:00:00"),
        (once("2026-12-24T18:00", "2026-12-27", BERLIN), "2026-12-24T17:00:00", True, "2026-12-26T23:00:00"),
        (once("2026-12-24T18:00", "2026-12-27", BERLIN), "2026-12-26T23:00:00", False, None),
        # It starts when the clocks go forward, and over a change it is longer or shorter than it looks.
        (once("2026-03-29T02:30", "2026-03-29T04:00", BERLIN), "2026-03-29T00:59:59", False, "2026-03-29T01:00:00"),
        (once("2026-03-29T02:30", "2026-03-29T04:00", BERLIN), "2026-03-29T01:00:00", True, "2026-03-29T02:00:00"),
        (once("2026-03-29T01:30", "2026-03-29T02:30", BERLIN), "2026-03-29T00:30:00", True, "2026-03-29T01:00:00"),
        (once("2026-10-25T01:00", "2026-10-25T04:00", BERLIN), "2026-10-24T23:00:00", True, "2026-10-25T03:00:00"),
        (once("2026-10-25T02:30", "2026-10-25T03:00", BERLIN), "2026-10-25T00:30:00", True, "2026-10-25T02:00:00"),
        (once("2026-10-25T01:00", "2026-10-25T02:30", BERLIN), "2026-10-25T00:29:59", True, "2026-10-25T00:30:00"),
        (once("2028-02-29", "2028-03-01"), "2028-02-29T23:59:59", True, "2028-03-01T00:00:00"),
    ],
)  # fmt: skip
def test_a_window(schedule, now, active, change):
    assert window(schedule, now) == (active, change)


def test_an_active_schedule_says_what_it_moves_and_the_order_is_that_of_the_policy():
    moving = Schedule("a", cron="* * * * *", duration_seconds=60.0, min_replicas=2, max_replicas=8, pause="scale_down")
    pinning = Schedule("b", start="2026-01-01", end="2026-01-02", replicas=3)
    sleeping = Schedule("c", start="2026-02-01", end="2026-02-02", replicas=9)
    found = Calendar(utc("2026-01-01T12:00:00")).evaluate((pinning, sleeping, moving))
    assert found.active == (ActiveSchedule("b", replicas=3), ActiveSchedule("a", 2, 8, None, "scale_down"))
    assert found.errors == ()


def test_the_next_change_is_the_soonest_of_all():
    given_schedules = (once("2026-01-01", "2026-01-09", name="a"), once("2026-01-05", "2026-01-07", name="b"))
    assert at("2026-01-02T00:00:00", *given_schedules) == (["a"], "2026-01-05T00:00:00")
    assert at("2026-01-06T00:00:00", *given_schedules) == (["a", "b"], "2026-01-07T00:00:00")
    assert at("2026-01-08T00:00:00", *given_schedules) == (["a"], "2026-01-09T00:00:00")
    assert Calendar(utc("2026-01-09T00:00:00")).evaluate(given_schedules) == Calendar(0.0).evaluate(()) == Scheduled()


@pytest.mark.parametrize(
    ("schedule", "error"),
    [
        (repeated("0 8 * *", 1, name="day"), "schedules.day: must be a cron expression of five fields"),
        (repeated("0 8 * * * *", 1), "schedules.s: must be a cron expression of five fields"),
        (repeated("61 8 * * *", 1),
         "schedules.s: must be a cron expression (minute, hour, day of month, month, day of week), got '61 8 * * *': Bad minute"),
        (repeated("9" * 5000 + " 8 * * *", 1), "schedules.s: must be a cron expression (minute"),
        (repeated("0 8 * * *", 1, "Europe/Atlantis"),
         "schedules.s: must be the name of a time zone such as Europe/Berlin, got 'Europe/Atlantis'"),
        (once("2026-01-01", "soon"), "schedules.s: must be a local time such as '2026-12-24T18:00', without an offset"),
        (once("2026-01-01T00:00+01:00", "2026-01-02"), "schedules.s: must be a local time"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_an_error_and_hides_no_other(schedule, error):
    found = Calendar(utc("2026-01-01T00:30:00")).evaluate((schedule, once("2026-01-01", "2026-01-02", name="good")))
    assert [active.name for active in found.active] == ["good"]
    (told,) = found.errors
    assert told.startswith(error)
    assert len(told) < 6000
    assert shown(found.next_change) == "2026-01-02T00:00:00"


@pytest.mark.parametrize("name", ["", "Europe", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "a\0b", "+01:00", "posix\n"])
def test_no_time_zone(name):
    with pytest.raises(AutoscaleError, match="must be the name of a time zone such as Europe/Berlin"):
        schedules.time_zone(name)


def test_a_machine_without_time_zones_says_what_is_missing(monkeypatch):
    for module in ("tzdata", "tzdata.zoneinfo", "tzdata.zoneinfo.Europe"):
        monkeypatch.setitem(sys.modules, module, None)
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    try:
        (told,) = Calendar(0.0).evaluate((repeated("0 0 * * *", 1, BERLIN),)).errors
        assert "the Python library 'tzdata'" in told
        assert sys.executable in told
        assert Calendar(0.0).evaluate((repeated("0 0 * * *", 1),)).errors == ()
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_without_the_library_dates_still_work_and_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cronsim", None)
    found = Calendar(utc("2026-01-01T00:30:00")).evaluate((repeated("0 0 * * *", 1), once("2026-01-01", "2026-01-02", name="good")))
    assert [active.name for active in found.active] == ["good"]
    (told,) = found.errors
    assert "the Python library 'cronsim' is missing on" in told
    assert sys.executable in told


@pytest.mark.parametrize("never", ["0 0 30 2 *", "0 0 30 2 */9", "0 0 31 4,6,9,11 *"])
def test_an_expression_that_never_comes_is_refused(never):
    with pytest.raises(AutoscaleError, match="must be a cron expression .*, got .*: Bad day-of-month"):
        schedules.check_cron(never)


def test_what_many_services_have_in_common_is_worked_out_once(monkeypatch):
    calendar = Calendar(utc("2026-01-01T00:30:00"))
    worked_out = []
    original = schedules._window
    monkeypatch.setattr(schedules, "_window", lambda when, now: worked_out.append(when) or original(when, now))
    for number in range(1000):
        calendar.evaluate((repeated("0 0 * * *", 1, BERLIN, name=f"s{number}"), repeated("0 0 * *", 1), once("2026-01-01", "2026-01-02")))
    assert len(worked_out) == 3


FIELD = st.text("0123456789*/,-#L ", max_size=6)


@given(st.one_of(st.text(max_size=30), st.lists(FIELD, min_size=5, max_size=5).map(" ".join)))
def test_any_text_is_an_expression_or_refused(text):
    try:
        schedules.check_cron(text)
    except AutoscaleError:
        return
    assert not Calendar(0.0).evaluate((Schedule("s", cron=text, duration_seconds=60.0, replicas=1),)).errors


@given(st.text(max_size=30))
def test_any_text_is_a_local_time_or_refused(text):
    with contextlib.suppress(AutoscaleError):
        assert schedules.local_time(text).tzinfo is None


ZONES = ("UTC", BERLIN, "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns")


@given(
    st.integers(0, 59), st.integers(0, 23), st.sampled_from(("*", "1", "29", "L")), st.sampled_from(("*", "MON-FRI", "SUN#2")),
    st.sampled_from(ZONES), st.integers(1, 100_000), st.integers(1_500_000_000, 2_000_000_000),
)  # fmt: skip
def test_nothing_changes_before_the_next_change_and_then_it_does(minute, hour, day, weekday, zone, duration, now):
    schedule = Schedule("s", cron=f"{minute} {hour} {day} * {weekday}", duration_seconds=float(duration), time_zone=zone, replicas=1)

    def active(time):
        return bool(Calendar(time).evaluate((schedule,)).active)

    change = Calendar(float(now)).evaluate((schedule,)).next_change
    assert change is None or change > now
    if change is not None:
        assert active(now) == active(change - 1) == active((now + change - 1) // 2) != active(change)
