# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data, the charts and the page of a report."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Metric, Step
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.report import (
    LoggedDecision,
    Phase,
    Window,
    WindowData,
    read_decisions,
    rows_of,
    scale_events,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.report_chart import Chart, Line, svg, ticks, time_step
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.report_page import elapsed_text, page, seconds_text, tiles
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.moments import utc
from ansible_collections.microservices.autoscale.tests.unit.builders import failed, metric, observed, policy, value, values

START = 1795413600.0  # 2026-11-23T06:00:00Z


def decision(at, current, desired, kind="steady", reason="because", metrics=()):
    return LoggedDecision(START + at, current, desired, kind, reason, metrics)


def entry(at, current, desired, service="shop", **more):
    return json.dumps({"time": START + at, "service": service, "current_replicas": current, "desired_replicas": desired, **more})


def test_read_decisions():
    lines = [
        entry(20, 4, 4, kind="limited", reason="the window"),
        entry(10, 2, 4, reason="requests", proposals=[{"metric": "requests", "average": 38.44, "target": 20.0, "replicas": 4}]),
        entry(10, 1, 1, service="other"),
        "\n",
        entry(0, None, 2),
        '{"time": 1, "service": "shop"',
        '["shop"]',
        entry(30, 4, 4, proposals=[{"metric": "cpu", "error": "no answer"}]),
    ]
    decisions, unreadable = read_decisions(lines, "shop")
    assert unreadable == 2
    assert decisions == [
        decision(0, 2, 2, "steady", ""),
        decision(10, 2, 4, "scale_up", "requests", ("requests 38.4, target 20: 4 replicas",)),
        decision(20, 4, 4, "limited", "the window"),
        decision(30, 4, 4, "steady", "", ("cpu: no answer",)),
    ]


def test_the_proposals_of_every_rule_are_told():
    metrics = (
        metric("requests", value=10),
        metric("cpu", "utilization", 50),
        Metric("prometheus", "depth", steps=(Step(at_least=40, change=2),)),
        Metric("prometheus", "planned", pass_through=True),
        Metric("fixed", "least", replicas=3),
        metric("response_time", "value", 0.25),
    )
    seen_now = observed(2, value(38.44), values(0.4, 0.4), value(45), value(3), Reading(), failed("no answer"), request=0.5)
    logged = json.dumps({"time": START, **decide("shop", policy(*metrics), seen_now, START).to_dict()})
    ((read,), unreadable) = read_decisions([logged], "shop")
    assert unreadable == 0
    assert read.metrics == (
        "requests 19.2, target 10: 4 replicas",
        "cpu 80, target 50: 4 replicas",
        "depth 45: 4 replicas",
        "planned 3: 3 replicas",
        "least: 3 replicas",
        "response_time: no answer",
    )


def test_quiet_decisions_share_a_row():
    decisions = [
        decision(0, 2, 2),
        decision(5, 2, 2),
        decision(10, 2, 4),
        decision(15, 4, 4, "limited"),
        decision(20, 4, 4),
        decision(25, 4, 4),
    ]
    rows = [(row.decision.time - START, row.count, row.until - START) for row in rows_of(decisions)]
    assert rows == [(0, 2, 5), (10, 1, 10), (15, 1, 15), (20, 2, 25)]


def test_two_changes_never_share_a_row():
    """The same change twice (the first was not carried out) is two rows."""
    assert [row.count for row in rows_of([decision(0, 2, 4, "scale_up"), decision(5, 2, 4, "scale_up")])] == [1, 1]


def test_desired_is_a_step_function_over_the_whole_window():
    data = WindowData(Window("x", START, START + 60), decisions=(decision(10, 2, 4), decision(40, 4, 3)))
    assert data.desired == ((START, 2), (START + 10, 4), (START + 40, 3), (START + 60, 3))
    assert WindowData(Window("x", START, START + 60)).desired == ()


def test_scale_events():
    assert scale_events([decision(0, 2, 2), decision(1, 2, 4), decision(2, 4, 6), decision(3, 6, 2)]) == (2, 1)
    assert scale_events([decision(0, 2, 4), decision(1, 2, 4), decision(2, 4, 4)]) == (1, 0)
    assert scale_events([]) == (0, 0)


@pytest.mark.parametrize(
    ("top", "whole", "expected"),
    [
        (126, False, [0, 50, 100, 150]),
        (7.6, False, [0, 2, 4, 6, 8]),
        (0.26, False, [0, 0.1, 0.2, 0.3]),
        (2, True, [0, 1, 2]),
        (7, True, [0, 2, 4, 6, 8]),
        (1, True, [0, 1]),
        (0, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (math.inf, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks(top, whole, expected):
    assert ticks(top, whole) == pytest.approx(expected)


@pytest.mark.parametrize(("span", "step"), [(5, 1), (76, 10), (600, 60), (43200, 7200), (30 * 86400, 3 * 86400)])
def test_time_step(span, step):
    assert time_step(span) == step


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 s"), (0.0853, "85 ms"), (0.1, "0.1 s"), (0.25, "0.25 s"), (7.6, "7.6 s"), (12.4, "12 s")]
)
def test_seconds_text(value, text):
    assert seconds_text(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75, "1:15"), (3600, "1:00:00"), (3725.4, "1:02:05")])
def test_elapsed_text(seconds, text):
    assert elapsed_text(seconds) == text


def draw(points, **options):
    return svg(Chart("t", (Line("l", "w0", points, **options),), 10.0, str, lambda seconds, step: str(seconds)))


def test_a_gap_breaks_the_line():
    assert draw(((0, 1), (1, 1), (2, math.nan), (3, 1), (4, 1))).count('class="line w0"') == 2


def test_a_step_goes_first_sideways():
    assert re.search(r'd="M52\.0,\d+\.\dH\d+\.\dV\d+\.\d"', draw(((0, 1), (5, 2)), step=True))


def test_no_data_says_so():
    assert "no data in this time" in draw(())


class Page(HTMLParser):
    """Collects tags and text, and fails on elements that are not closed."""

    VOID = ("meta", "link", "br", "line", "path", "rect")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def two_windows():
    phases = (Phase("base", START, START + 30), Phase("peak", START + 30, START + 60))
    points = tuple((START + at, float(at)) for at in range(61))
    first = WindowData(
        Window("with scaling", START, START + 60, phases),
        points,
        points,
        points,
        tuple((START + at, 2.0 if at < 30 else 6.0) for at in range(61)),
        (decision(5, 2, 2), decision(30, 2, 6, "scale_up", "load <script>alert(1)</script>")),
    )
    later = tuple((at + 100, value) for at, value in points)
    return [first, WindowData(Window("without & scaling", START + 100, START + 160), later, later)]


def test_page_is_whole_and_needs_nothing_else():
    text = page("shop", two_windows(), utc)
    parsed = Page(text)
    assert parsed.open == []
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert [tag for tag, attrs in parsed.tags if "src" in attrs or (attrs.get("href") or "data:,") != "data:,"] == []
    assert "prefers-color-scheme: dark" in text


def test_page_escapes_what_comes_from_outside():
    text = page("shop", two_windows(), utc)
    assert "load &lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "without &amp; scaling" in text


def test_page_shows_charts_phases_and_decisions():
    parsed = Page(page("shop", two_windows(), utc))
    assert [attrs["aria-label"] for tag, attrs in parsed.tags if tag == "svg" and "aria-label" in attrs] == [
        "Load",
        "Response time",
        "Replicas",
    ]
    for word in ("base", "peak", "ready, with scaling", "desired, with scaling", "ready, without & scaling", "2 \u2192 6", "0:30"):
        assert word in parsed.words
    assert "desired, without" not in parsed.words


def test_one_window_has_the_time_of_day():
    parsed = Page(page("shop", two_windows()[:1], utc))
    assert "06:00:30" in parsed.words
    assert "Time in UTC." in parsed.words


def test_the_same_data_gives_the_same_page():
    assert page("shop", two_windows(), utc) == page("shop", two_windows(), utc)


def test_tiles():
    assert tiles(two_windows()) == [
        ("60/s", "highest load, requests per second"),
        ("60 s", "slowest moment (95th percentile), with scaling"),
        ("60 s", "slowest moment (average), without & scaling"),
        ("2 \u2192 6 \u2192 6", "ready replicas: at first, at most, at the end"),
        ("1 out, 0 in", "times replicas were added and taken away"),
    ]


def test_an_empty_window_is_drawn_too():
    assert Page(page("shop", [WindowData(Window("x", START, START + 36000))], utc)).words.count("no data in this time") == 3
