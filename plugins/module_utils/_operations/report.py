# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Draws what a service's fleet did in some windows of time as one HTML page."""

from __future__ import annotations

import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from .._clients.files import replace_text
from .._clients.prometheus import Prometheus
from .._domain.errors import AutoscaleError
from .._domain.names import service_name
from .._domain.reader import parse_duration
from .._domain.report import LoggedDecision, Phase, Points, Window, WindowData, peak, read_decisions, scale_events
from .._domain.report_page import page
from . import moments
from .metrics import QUERIES
from .outcome import Change, Outcome

# A chart is not wider than this many pixels.
POINTS_PER_WINDOW = 600


def queries(service: str, metrics_window: float) -> dict[str, str]:
    """The expressions behind the charts, for one service."""
    own = f'service="{service_name(service)}"'
    window = max(1, math.ceil(metrics_window))
    # The ones that decisions are taken from.
    taken = {kind: (QUERIES[kind] % {"window": window}).replace('service!=""', own) for kind in ("requests", "response_time")}
    return {
        "load": taken["requests"],
        "response_time": taken["response_time"],
        # Every HAProxy of a service has the same servers. Nginx does not tell: instances that are scraped and not in maintenance stand in.
        "ready": f'max(haproxy_backend_active_servers{{{own}}}) or count(up{{job="instances",{own}}} == 1)',
    }


def write_report(
    prometheus: Prometheus,
    *,
    service: str,
    windows: Sequence[Mapping[str, Any]],
    hours: float,
    decision_log: str | None,
    dest: str,
    metrics_window: str,
    check_mode: bool,
) -> Outcome:
    """Render the report and write it when its text differs from what is there.

    Args:
        windows: label, start, end, phases and client_series of each; none of them draws the last `hours`.
        decision_log: file with a JSON object per line; None leaves decisions out.
        dest: the HTML file; its folder must exist.
        metrics_window: duration over which the load is averaged; at least two scrapes long.
    """
    if not windows:
        now = time.time()
        windows = [{"label": f"the last {hours:g} hours", "start": now - hours * 3600, "end": now}]
    spans = [window_from(raw, f"windows[{number}]") for number, raw in enumerate(windows)]
    decisions, warnings = _read_log(decision_log, service)
    averaged = parse_duration(metrics_window)
    if not averaged:
        raise AutoscaleError(f"metrics_window: must be a duration such as 60 or 60s, got {metrics_window!r}")
    asked = queries(service, averaged)
    drawn = [_window_data(prometheus, span, asked, decisions, raw.get("client_series")) for span, raw in zip(spans, windows)]
    for data in drawn:
        if not data.load:
            warnings.append(
                f"Prometheus at {prometheus.url} has no load of {service} in the window {data.window.label!r}: "
                f"is HAProxy's exporter, or mtail beside Nginx, scraped with the label service={service}, and is the window right?"
            )
    changes = _write(dest, page(service, drawn, moments.utc), drawn, check_mode)
    return Outcome(changes, {"dest": dest, "windows": [_summary(data) for data in drawn]}, tuple(warnings))


def moment(text: object, what: str) -> float:
    """Seconds since 1970 from such a number or from ISO 8601 with an offset, or raise AutoscaleError."""
    try:
        seconds = float(str(text))
    except ValueError:
        parsed = moments.parse(text)
        if parsed is None:
            raise AutoscaleError(
                f"{what}: must be seconds since 1970 or ISO 8601 with an offset such as 2026-11-23T02:00:00+00:00, got {text!r}"
            ) from None
        return parsed.timestamp()
    if not math.isfinite(seconds):
        raise AutoscaleError(f"{what}: must be a finite number of seconds, got {text!r}")
    return seconds


def window_from(raw: Mapping[str, Any], path: str) -> Window:
    """A window from an option with label, start, end and phases, or raise AutoscaleError naming the path."""
    start, end = moment(raw["start"], f"{path}.start"), moment(raw["end"], f"{path}.end")
    if end <= start:
        raise AutoscaleError(f"{path}.end: must be after start, which is {raw['start']}, got {raw['end']}")
    phases = tuple(_phase(phase, f"{path}.phases[{number}]") for number, phase in enumerate(raw.get("phases") or ()))
    return Window(str(raw["label"]), start, end, phases)


def _phase(raw: Mapping[str, Any], path: str) -> Phase:
    return Phase(str(raw["label"]), moment(raw["start"], f"{path}.start"), moment(raw["end"], f"{path}.end"))


def _window_data(
    prometheus: Prometheus, window: Window, asked: Mapping[str, str], decisions: Sequence[LoggedDecision], client_series: str | None
) -> WindowData:
    step = max(1.0, math.ceil((window.end - window.start) / POINTS_PER_WINDOW))
    series = {}
    for name, expression in asked.items():
        answer = prometheus.query_range(expression, window.start, window.end, step)
        series[name] = _with_gaps(answer[0][1], step) if answer else ()
    return WindowData(
        window,
        client_p95=_read_series(client_series) if client_series else (),
        decisions=tuple(decision for decision in decisions if window.start <= decision.time <= window.end),
        **series,
    )


def _with_gaps(points: Sequence[tuple[float, float]], step: float) -> Points:
    """The points with a NaN in every hole, so that a line is not drawn over a time without data."""
    result: list[tuple[float, float]] = []
    for at, value in points:
        if result and at - result[-1][0] > step * 1.5:
            result.append((result[-1][0] + step, math.nan))
        result.append((at, value))
    return tuple(result)


def _read_log(path: str | None, service: str) -> tuple[list[LoggedDecision], list[str]]:
    if path is None:
        return [], []
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as lines:
            decisions, unreadable = read_decisions(lines, service)
    except OSError as error:
        hint = "reconcile writes it, see autoscale_decision_log"
        raise AutoscaleError(f"the decision log {path} cannot be read: {error.strerror}; {hint}") from None
    return decisions, [f"{path}: {unreadable} lines are not decisions and were left out"] if unreadable else []


def _read_series(path: str) -> Points:
    """(time, seconds) pairs from a JSON file; a null value is a gap."""
    try:
        pairs = json.loads(Path(path).read_text(encoding="utf-8"))
        return tuple((float(at), math.nan if value is None else float(value)) for at, value in pairs)
    except (OSError, ValueError, TypeError) as error:
        wanted = "it must be a JSON list of [seconds since 1970, seconds] pairs"
        raise AutoscaleError(f"client_series {path} cannot be read: {error}; {wanted}") from None


def _write(dest: str, text: str, drawn: Sequence[WindowData], check_mode: bool) -> tuple[Change, ...]:
    try:
        before: str | None = Path(dest).read_text(encoding="utf-8")
    except FileNotFoundError:
        before = None
    except (OSError, UnicodeDecodeError) as error:
        raise AutoscaleError(f"the report {dest} cannot be read: {error}") from None
    if before == text:
        return ()
    if not check_mode:
        _replace(dest, text)
    # The page itself would hide the rest of a diff.
    after = {"sha256": _digest(text), "windows": [_summary(data) for data in drawn]}
    return (Change(f"report {dest}", None if before is None else {"sha256": _digest(before)}, after),)


def _replace(dest: str, text: str) -> None:
    try:
        replace_text(Path(dest), text)
    except OSError as error:
        raise AutoscaleError(f"the report {dest} cannot be written: {error.strerror}; its folder must exist and be writable") from None


def _summary(data: WindowData) -> dict[str, Any]:
    outs, ins = scale_events(data.decisions)
    ready = [value for _time, value in data.ready if math.isfinite(value)]
    return {
        "label": data.window.label,
        "points": len(data.load),
        "load_max": peak(data.load),
        "ready_min": min(ready, default=None),
        "ready_max": max(ready, default=None),
        "decisions": len(data.decisions),
        "scale_outs": outs,
        "scale_ins": ins,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
