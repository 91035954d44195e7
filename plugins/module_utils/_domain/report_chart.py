# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Line charts as inline SVG. Colours and strokes come from the page's style sheet by class."""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import Callable, Iterator

from .report import Phase, Points

WIDTH, HEIGHT = 960, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 28
_PLOT_WIDTH = WIDTH - LEFT - RIGHT
_PLOT_HEIGHT = HEIGHT - TOP - BOTTOM
# About the width of a letter of a phase's name.
_LETTER = 6.4
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclasses.dataclass(frozen=True)
class Line:
    """One series.

    Args:
        label: in the legend; css: class of the stroke.
        points: x in seconds from the left edge, y in the chart's unit; NaN breaks the line.
        step: a value is in force until the next.
        fill: shade the area below.
    """

    label: str
    css: str
    points: Points
    step: bool = False
    fill: bool = False


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart over `span` seconds.

    Args:
        y_text: how a value of the y axis is written, with its unit.
        x_text: how a moment of the x axis is written, from seconds after the left edge and the distance of ticks.
        x_origin: offset in seconds that ticks are aligned to (a clock time of the left edge).
        whole: the y axis has whole numbers only.
    """

    title: str
    lines: tuple[Line, ...]
    span: float
    y_text: Callable[[float], str]
    x_text: Callable[[float, float], str]
    x_origin: float = 0.0
    phases: tuple[Phase, ...] = ()
    whole: bool = False


def ticks(top: float, whole: bool = False, count: int = 5) -> list[float]:
    """Round values from 0 up to the first one that is not below `top`, about `count` of them."""
    if not math.isfinite(top) or top <= 0:
        top = 1.0
    raw = top / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    return [number * step for number in range(math.ceil(top / step - 1e-9) + 1)]


def time_step(span: float, most: int = 10) -> int:
    """The distance of ticks of the x axis in seconds: at most `most` of them."""
    return next((step for step in _TIME_STEPS if span / step <= most), 86400 * math.ceil(span / 86400 / most))


def svg(chart: Chart) -> str:
    """The chart as an SVG element."""
    values = [value for line in chart.lines for _x, value in line.points if math.isfinite(value)]
    y_ticks = ticks(max(values, default=1.0) * (1.0 if chart.whole else 1.05), chart.whole)
    top = y_ticks[-1]

    def x_of(seconds: float) -> float:
        return LEFT + min(max(seconds / chart.span, 0.0), 1.0) * _PLOT_WIDTH

    def y_of(value: float) -> float:
        return TOP + (1 - min(max(value / top, 0.0), 1.0)) * _PLOT_HEIGHT

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">']
    parts += _phase_parts(chart, x_of)
    for value in y_ticks:
        y = y_of(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(chart.y_text(value))}</text>')
    step = time_step(chart.span)
    first = math.ceil(chart.x_origin / step) * step - chart.x_origin
    for number in range(int((chart.span - first) / step + 1e-9) + 1):
        seconds = first + number * step
        x = x_of(seconds)
        anchor = "end" if x > WIDTH - RIGHT - 16 else "middle"
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP + _PLOT_HEIGHT}" y2="{TOP + _PLOT_HEIGHT + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(chart.x_text(seconds, step))}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{TOP + _PLOT_HEIGHT}" y2="{TOP + _PLOT_HEIGHT}"/>')
    for line in chart.lines:
        for run in _runs(line.points):
            path = _path(run, line.step, x_of, y_of)
            if line.fill:
                base = TOP + _PLOT_HEIGHT
                parts.append(f'<path class="area" d="{path}L{x_of(run[-1][0]):.1f},{base}L{x_of(run[0][0]):.1f},{base}Z"/>')
            parts.append(f'<path class="line {line.css}" d="{path}"/>')
    if not values:
        parts.append(f'<text class="empty" x="{WIDTH / 2}" y="{TOP + _PLOT_HEIGHT / 2}" text-anchor="middle">no data in this time</text>')
    parts.append("</svg>")
    return "\n".join(parts)


def _phase_parts(chart: Chart, x_of: Callable[[float], float]) -> Iterator[str]:
    """Shaded bands with their names above the plot; a name that does not fit is left out."""
    for number, phase in enumerate(chart.phases):
        left, right = x_of(phase.start), x_of(phase.end)
        if number % 2:
            yield f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{_PLOT_HEIGHT}"/>'
        if len(phase.label) * _LETTER <= right - left:
            yield f'<text class="phase" x="{(left + right) / 2:.1f}" y="{TOP - 9}" text-anchor="middle">{escape(phase.label)}</text>'


def _runs(points: Points) -> Iterator[list[tuple[float, float]]]:
    """The points in pieces without gaps."""
    run: list[tuple[float, float]] = []
    for x, y in points:
        if math.isfinite(y):
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _path(run: list[tuple[float, float]], step: bool, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> str:
    path = f"M{x_of(run[0][0]):.1f},{y_of(run[0][1]):.1f}"
    for x, y in run[1:]:
        path += f"H{x_of(x):.1f}V{y_of(y):.1f}" if step else f"L{x_of(x):.1f},{y_of(y):.1f}"
    return path
