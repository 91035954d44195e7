# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The fleet as a table that people read."""

from __future__ import annotations

import time
from typing import Any, Iterable, Iterator

from .._clients.consul import Consul
from .._domain import observation as seen
from .._domain.documents import Record, Signing
from .._domain.observation import Instance, Scheduled
from .._domain.service import Service
from . import moments
from .observe import read_catalog
from .outcome import Outcome
from .records import read_records, select
from .schedules import Calendar

_HEADINGS = ("SERVICE", "VERSION", "DESIRED", "READY", "DRAINING", "OTHER", "LAST DECISION")


def status(consul: Consul, signing: Signing, services: Iterable[str], described: Iterable[Service], nodes: dict[str, str]) -> Outcome:
    """Read what is recorded and what Consul shows.

    Args:
        described: descriptions at hand; where one differs from the release, the drift is told.
        nodes: the inventory's host name by Consul node.
    """
    now, services = time.time(), tuple(services)
    records = select(read_records(consul, signing, services), services)
    catalog = read_catalog(consul, records.by_service, nodes, now)
    shown = {name: record for name, record in records.by_service.items() if name not in catalog.hidden}
    at_hand = {service.name: service for service in described}
    calendar = Calendar(now)
    rows = [
        _row(record, catalog.instances.get(name, ()), at_hand.get(name), calendar.evaluate(record.service.scale.schedules), now)
        for name, record in shown.items()
    ]
    lines = _table([_HEADINGS] + [_cells(row) for row in rows])
    problems = {**records.problems, **catalog.hidden, **{name: "; ".join(those) for name, those in catalog.refused.items()}}
    lines += [f"{name}: {problem}" for name, problem in problems.items()]
    return Outcome(facts={"services": rows, "table": lines, "problems": problems})


def _row(record: Record, instances: tuple[Instance, ...], at_hand: Service | None, scheduled: Scheduled, now: float) -> dict[str, Any]:
    service, last = record.service, record.last_decision
    states = [instance.state for instance in instances]
    override = record.override
    return {
        "service": service.name,
        "version": service.version,
        "desired": record.scale,
        "ready": states.count(seen.READY),
        "draining": states.count(seen.DRAINING),
        "other": {state: states.count(state) for state in sorted(set(states) - {seen.READY, seen.DRAINING})},
        "outdated": sum(1 for instance in instances if instance.digest != service.digest),
        "last_decision": last,
        "age_seconds": round(now - last["time"]) if last else None,
        "outlook": record.outlook,
        "override": None if override is None or (left := override.left(now)) is None else vars(left),
        "policy_pause": service.scale.pause,
        "schedules": [vars(active) for active in scheduled.active],
        "schedule_errors": list(scheduled.errors),
        "schedules_change": scheduled.next_change,
        "removing": record.removing,
        "locked_by": dict(record.lock) if record.lock else None,
        "drift": at_hand is not None and at_hand != service,
        "instances": [vars(instance) for instance in instances],
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    others = [f"{count} {state}" for state, count in row["other"].items()] + ([f"{row['outdated']} outdated"] if row["outdated"] else [])
    last = row["last_decision"]
    notes = [f"{row['age_seconds']} s ago: {last['reason']}" if last else "none yet"]
    outlook, _space, count = (row["outlook"] or "").partition(" ")
    if outlook == "held" and not (last and last["kind"] == "held"):
        notes.append("held")
    if outlook == "settled" and last and last["kind"] in ("held", "limited"):
        notes.append(f"{count} is right since")
    notes += _by_hand(row["override"]) if row["override"] else []
    if row["policy_pause"] != "none":
        notes.append(f"paused: {row['policy_pause']} by its policy")
    notes += _by_schedule(row)
    if row["removing"]:
        notes.append("being removed")
    if row["locked_by"]:
        notes.append(f"locked by {row['locked_by'].get('holder')} since {row['locked_by'].get('since')}")
    if row["drift"]:
        notes.append("the description at hand differs from the release")
    desired = "-" if row["desired"] is None else str(row["desired"])
    return row["service"], row["version"], desired, str(row["ready"]), str(row["draining"]), ", ".join(others) or "-", "; ".join(notes)


def _by_hand(override: dict[str, Any]) -> Iterator[str]:
    for bound in ("min_replicas", "max_replicas"):
        if override[bound] is not None:
            yield f"{bound} pinned to {override[bound]} until {moments.local(override['expires'])}"
    if override["pause"] != "none":
        yield f"paused: {override['pause']} until {moments.local(override['pause_expires'])}"


def _by_schedule(row: dict[str, Any]) -> Iterator[str]:
    for active in row["schedules"]:
        moved = [f"{what} {value}" for what, value in active.items() if what != "name" and value not in (None, "none")]
        yield f"schedule {active['name']}: {', '.join(moved)}"
    if row["schedules_change"] is not None:
        yield f"schedules change at {moments.local(row['schedules_change'])}"
    yield from row["schedule_errors"]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
