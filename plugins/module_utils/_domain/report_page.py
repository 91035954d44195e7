# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The report as one self-contained HTML page. The same data gives the same text: it has no time of making in it."""

from __future__ import annotations

from html import escape
from typing import Callable, Sequence

from .report import DecisionRow, Phase, Points, WindowData, peak, rows_of, scale_events
from .report_chart import Chart, Line, svg

# Writes a time in UTC by a pattern of strftime.
Utc = Callable[[float, str], str]
# One class of colour per window, in order.
WINDOW_CLASSES = ("w0", "w1", "w2", "w3")

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5b6776; --rule: #e3e7ec; --band: #f1f4f8;
  --w0: #1f6feb; --w1: #d9480f; --w2: #0f766e; --w3: #7c3aed; --good: #1a7f45; --out: #e7f0ff; --in: #e6f6ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151c; --card: #18202a; --ink: #e8edf3; --soft: #9aa7b5; --rule: #2b3644; --band: #202b37;
    --w0: #6ea8fe; --w1: #ff9457; --w2: #4fd1c5; --w3: #b794f4; --good: #5fd38d; --out: #1d3150; --in: #173626;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 0 0 2px; }
p { margin: 0; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: 12px; margin: 24px 0 16px; }
.tile, section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.3; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile span { display: block; color: var(--soft); font-size: 13px; line-height: 1.4; }
section { padding: 18px 20px 12px; margin-top: 16px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 8px 0 4px; padding: 0; list-style: none; }
.legend li { font-size: 13px; color: var(--soft); }
.legend svg { width: 26px; height: 10px; margin-right: 7px; }
.plot, .scroll { overflow-x: auto; }
.plot > svg { display: block; width: 100%; min-width: 620px; height: auto; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.tick, .phase, .empty { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.band { fill: var(--band); }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
.line.w0 { stroke: var(--w0); } .line.w1 { stroke: var(--w1); } .line.w2 { stroke: var(--w2); } .line.w3 { stroke: var(--w3); }
.line.thin { stroke-width: 1.4; stroke-opacity: 0.8; stroke-dasharray: 2 4; }
.line.desired { stroke-width: 1.8; stroke-dasharray: 6 4; }
.area { fill: var(--w0); fill-opacity: 0.12; }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; }
th, td { padding: 7px 14px 7px 0; border-top: 1px solid var(--rule); vertical-align: top; }
thead th { border-top: 0; }
td { overflow-wrap: anywhere; }
td.time, td.change { white-space: nowrap; font-variant-numeric: tabular-nums; }
td small { display: block; color: var(--soft); font-size: 12.5px; }
.badge { display: inline-block; padding: 0 8px; border-radius: 9px; font-weight: 600; }
.badge.out { background: var(--out); color: var(--w0); } .badge.in { background: var(--in); color: var(--good); }
tr.quiet td { color: var(--soft); }
footer { margin-top: 20px; font-size: 12.5px; color: var(--soft); }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
"""
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
"""
_SOURCES = (
    "Load and average response time as the balancers counted them, and ready replicas, read from Prometheus; "
    "desired replicas and reasons from the decision log of microservices.autoscale."
)


def page(service: str, windows: Sequence[WindowData], utc: Utc) -> str:
    """The report as HTML; several windows lie over each other, aligned at their starts, and have no common clock."""
    clock = utc if len(windows) == 1 else None
    body = [f"<h1>{escape(service)}: load, response time and replicas</h1>"]
    body.append("<p>" + "<br>".join(escape(f"{data.window.label}: {_period(data, utc)}") for data in windows) + "</p>")
    body.append('<div class="tiles">' + "".join(_tile(value, label) for value, label in tiles(windows)) + "</div>")
    for chart, explanation in charts(windows, clock):
        body.append(_section(chart, explanation))
    for data in windows:
        if data.decisions:
            body.append(_decisions(data, clock))
    body.append(f"<footer>{_SOURCES}</footer>")
    title = f"<title>{escape(service)}: autoscaling report</title>\n<style>{STYLE}</style>\n</head>\n"
    return _HEAD + title + "<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"


def tiles(windows: Sequence[WindowData]) -> list[tuple[str, str]]:
    """The few numbers on top: (value, what it is)."""
    result = []
    load = peak(tuple(point for data in windows for point in data.load))
    if load is not None:
        result.append((f"{load:.0f}/s", "highest load, requests per second"))
    for data in windows:
        slowest = peak(data.client_p95 or data.response_time)
        if slowest is not None:
            kind = "95th percentile" if data.client_p95 else "average"
            result.append((seconds_text(slowest), f"slowest moment ({kind}), {data.window.label}"))
    scaled = [data for data in windows if data.decisions]
    if scaled:
        counts = [value for _time, value in scaled[0].ready] or [value for _time, value in scaled[0].desired]
        numbers = " \u2192 ".join(f"{count:.0f}" for count in (counts[0], max(counts), counts[-1]))
        result.append((numbers, "ready replicas: at first, at most, at the end"))
        outs, ins = scale_events(scaled[0].decisions)
        result.append((f"{outs} out, {ins} in", "times replicas were added and taken away"))
    return result


def charts(windows: Sequence[WindowData], clock: Utc | None) -> list[tuple[Chart, str]]:
    """The charts with a sentence each."""
    span = max(data.window.end - data.window.start for data in windows)
    origin = windows[0].window.start
    phases = tuple(Phase(phase.label, phase.start - origin, phase.end - origin) for phase in windows[0].window.phases)
    load: list[Line] = []
    response: list[Line] = []
    replicas: list[Line] = []
    for number, (data, css) in enumerate(zip(windows, WINDOW_CLASSES)):
        label = "" if clock else f", {data.window.label}"
        load.append(Line(f"requests per second{label}", css, _shift(data.load, data), fill=number == 0))
        if data.client_p95:
            response.append(Line(f"95th percentile, seen by clients{label}", css, _shift(data.client_p95, data)))
        average = f"{css} thin" if data.client_p95 else css
        response.append(Line(f"average, seen by the balancer{label}", average, _shift(data.response_time, data)))
        replicas.append(Line(f"ready{label}", css, _shift(data.ready, data), step=True, fill=number == 0))
        if data.decisions:
            replicas.append(Line(f"desired{label}", f"{css} desired", _shift(data.desired, data), step=True))

    def x_text(seconds: float, step: float) -> str:
        return _time_text(clock, origin + seconds, step) if clock else elapsed_text(seconds)

    def chart(title: str, lines: list[Line], y_text: Callable[[float], str], whole: bool = False) -> Chart:
        return Chart(title, tuple(lines), span, y_text, x_text, origin if clock else 0.0, phases, whole)

    axis = "Time in UTC." if clock else "Time in minutes and seconds since the start of each run."
    waited = "How long users waited, with the time spent in queues. Lower is better."
    running = "Running copies of the service that take traffic, and how many were wanted."
    return [
        (chart("Load", load, lambda value: f"{value:g}/s"), f"What users asked for. {axis}"),
        (chart("Response time", response, seconds_text), waited),
        (chart("Replicas", replicas, lambda value: f"{value:g}", whole=True), running),
    ]


def seconds_text(value: float) -> str:
    """A duration for a reader: 85 ms, 0.4 s, 12 s."""
    if value == 0:
        return "0 s"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2g} s" if value < 9.95 else f"{value:.0f} s"


def elapsed_text(seconds: float) -> str:
    """m:ss, or h:mm:ss from an hour on."""
    whole = int(round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _shift(points: Points, data: WindowData) -> Points:
    return tuple((time - data.window.start, value) for time, value in points if data.window.start <= time <= data.window.end)


def _time_text(utc: Utc, seconds: float, step: float = 1) -> str:
    return utc(seconds, "%d %b" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S")


def _period(data: WindowData, utc: Utc) -> str:
    (start, first), (end, last) = ((utc(time, "%d %B %Y"), utc(time, "%H:%M:%S")) for time in (data.window.start, data.window.end))
    return f"{start}, {first} to {last if start == end else f'{end}, {last}'} UTC"


def _tile(value: str, label: str) -> str:
    return f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def _section(chart: Chart, explanation: str) -> str:
    legend = "".join(f"<li>{_sample(line)}{escape(line.label)}</li>" for line in chart.lines)
    head = f"<h2>{escape(chart.title)}</h2>\n<p>{escape(explanation)}</p>"
    return f'<section>\n{head}\n<ul class="legend">{legend}</ul>\n<div class="plot">{svg(chart)}</div>\n</section>'


def _sample(line: Line) -> str:
    return f'<svg viewBox="0 0 26 10" aria-hidden="true"><path class="line {line.css}" d="M1,5H25"/></svg>'


def _decisions(data: WindowData, clock: Utc | None) -> str:
    rows = "\n".join(_row(row, data, clock) for row in rows_of(data.decisions))
    title = "Decisions" if clock else f"Decisions, {data.window.label}"
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n<p>Every run of reconcile decides anew. Runs that changed nothing share a row.</p>\n"
        '<div class="scroll"><table>\n<thead><tr><th>Time</th><th>Replicas</th><th>Why</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>\n</section>"
    )


def _row(row: DecisionRow, data: WindowData, clock: Utc | None) -> str:
    decision = row.decision

    def when(time: float) -> str:
        return _time_text(clock, time) if clock else elapsed_text(time - data.window.start)

    times = when(decision.time) if row.count == 1 else f"{when(decision.time)} \u2013 {when(row.until)}"
    step = decision.desired - decision.current
    if step:
        change = f'<span class="badge {"out" if step > 0 else "in"}">{decision.current} \u2192 {decision.desired}</span>'
    else:
        change = f"{decision.desired}"
    detail = "".join(f"<small>{escape(metric)}</small>" for metric in decision.metrics)
    many = f"<small>the first of {row.count} decisions in a row without a change</small>" if row.count > 1 else ""
    return (
        f'<tr{"" if step else " class=quiet"}><td class="time">{escape(times)}</td><td class="change">{change}</td>'
        f"<td>{escape(decision.reason or decision.kind)}{detail if step else ''}{many}</td></tr>"
    )
