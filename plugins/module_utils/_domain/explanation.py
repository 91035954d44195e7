# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A decision told to people, from what Decision.to_dict gives: in one line, or in full."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from .proposal import measured

# What is kept of a decision: so many entries of each list, and so many characters of each text.
_MOST_ENTRIES = 20
_LONGEST_TEXT = 300


def decision_line(decision: Mapping[str, Any]) -> str:
    """What was decided, and why."""
    current, desired, reason = decision.get("current_replicas"), decision.get("desired_replicas"), decision.get("reason")
    if decision.get("kind") == "held":
        return f"{decision.get('service')}: {reason}"
    if current == desired:
        return f"{decision.get('service')}: stays at {desired}: {reason}"
    return f"{decision.get('service')}: {current or 0} -> {desired}: {reason}"


def decision_lines(decision: Mapping[str, Any]) -> list[str]:
    """What was decided, and everything that it rests on; what is not there is left out."""
    return [decision_line(decision), *(f"  {line}" for line in _inputs(decision)), *(f"  {line}" for line in _rules(decision))]


def _inputs(decision: Mapping[str, Any]) -> Iterator[str]:
    for proposal in decision.get("proposals") or ():
        wins = "  <- decides" if proposal.get("metric") == decision.get("winner") else ""
        yield f"{proposal.get('metric')} ({proposal.get('rule')}): {', '.join(_said(proposal))}{wins}"


def _said(proposal: Mapping[str, Any]) -> Iterator[str]:
    unit = " %" if proposal.get("rule") == "utilization" else ""
    found = measured(proposal)
    target = f" against a target of {proposal['target']:g}{unit}" if "target" in proposal else ""
    if found is not None:
        yield f"{found:.6g}{unit}{target}"
    if "age_seconds" in proposal:
        yield f"{proposal['age_seconds']:g} s old"
    if proposal.get("why"):
        yield proposal["why"]
    if proposal.get("error"):
        since = f" for {proposal['failing_seconds']:g} s" if proposal.get("failing_seconds") else ""
        yield f"failing{since}, in {proposal.get('failures', 1)} runs: {proposal['error']}"
    replicas = proposal.get("replicas")
    says = "has no say" if replicas is None else f"asks for {replicas}"
    yield f"{says} by {proposal['fallback']} of on_missing" if proposal.get("fallback") else says


def _rules(decision: Mapping[str, Any]) -> Iterator[str]:
    if decision.get("recommendation") is not None:
        yield f"asked for before any limit: {decision['recommendation']}"
    for limit in decision.get("limits") or ():
        yield f"limit {limit['rule']}: {limit['after']}, without it {limit['before']}"
    for error in decision.get("errors") or ():
        yield f"wrong: {error}"
    if decision.get("bounds"):
        yield f"bounds: {decision['bounds']['min_replicas']} to {decision['bounds']['max_replicas']}"
    if decision.get("tolerance"):
        yield "tolerance: " + ", ".join(f"{direction} {tolerance:g}" for direction, tolerance in decision["tolerance"].items())
    seconds = decision.get("earliest_change_seconds")
    if seconds is not None:
        yield f"earliest change by itself: in {seconds:g} s"
    for condition in decision.get("conditions") or ():
        yield f"{condition['type']}: {condition['status']}, {condition['reason']} ({condition['name']})"


def kept(decision: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as Consul KV keeps it: without what is empty, and bounded in size however many metrics fail in however many words."""
    return {key: _bounded(value) for key, value in decision.items() if value not in (None, [], {})}


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    if isinstance(value, list):
        return [_bounded(entry) for entry in value[:_MOST_ENTRIES]]
    return {key: _bounded(entry) for key, entry in value.items() if entry is not None} if isinstance(value, dict) else value
