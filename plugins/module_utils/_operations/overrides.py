# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a person lays over a policy for a time: bounds pinned by a change of the count, and pauses."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Mapping

from .._clients.consul import Consul
from .._domain.bounds import bounds
from .._domain.documents import Record, Signing
from .._domain.errors import AutoscaleError
from .._domain.observation import Observation, Override
from . import locks, moments
from .outcome import Change, Outcome
from .records import read_records, select, write_documents
from .schedules import Calendar


def pinned(record: Record, change: int, seconds: float, now: float) -> Override:
    """The override of a count changed by hand: it pins the bound by which the next runs would otherwise undo it.

    A pause that is in force stays.

    Raises:
        AutoscaleError: the service has no count yet, or the change leaves the bounds in force.
    """
    name, policy = record.service.name, record.service.scale
    if record.scale is None:
        raise AutoscaleError(f"{name}: cannot be scaled by hand before its first deploy")
    wanted = record.scale + change
    allowed = bounds(policy, Observation(record.scale, schedules=Calendar(now).evaluate(policy.schedules).active), now)
    if not allowed.low <= wanted <= allowed.high:
        raise AutoscaleError(
            f"{name}: {record.scale} {change:+d} is {wanted} replicas, but its policy allows "
            f"{allowed.low} to {allowed.high}; deploy it with other bounds first"
        )
    left = _left(record.override, now)
    low, high = (wanted, None) if change > 0 else (None, wanted)
    return dataclasses.replace(left, min_replicas=low, max_replicas=high, expires=now + seconds)


def pause(consul: Consul, name: str, what: str, seconds: float, signing: Signing, *, locking: locks.Locking, check_mode: bool) -> Outcome:
    """Pause a service's scaling for a time, or take a pause away; bounds pinned by hand stay for as long as they would.

    Args:
        what: scale_up, scale_down, both, or none, which ends a pause.
        locking: how the service's lock is taken.

    Raises:
        AutoscaleError: the service is not deployed, is being removed, its documents are refused, or another run holds its lock.
    """
    if seconds <= 0:
        raise AutoscaleError(f"seconds: must be greater than 0, got {seconds:g}")
    now = time.time()
    record = _recorded(consul, name, signing)
    if what == "none" and _left(record.override, now).pause == "none":
        return Outcome(facts={"override": _shown(record.override, now)})
    paused = _paused(record, what, seconds, now)
    if not check_mode:
        with locks.held(consul, [name], locking) as session:
            # Another run may have written while this one waited.
            record = _recorded(consul, name, signing)
            paused = _paused(record, what, seconds, now)
            content = None if paused is None else dataclasses.asdict(paused)
            write_documents(consul, session, record, {"override": content}, signing)
    change = Change(f"override {name}", _shown(record.override, now), _shown(paused, now))
    return Outcome((change,), {"override": change.after})


def _recorded(consul: Consul, name: str, signing: Signing) -> Record:
    records = select(read_records(consul, signing, [name]), [name])
    if name in records.problems:
        raise AutoscaleError(f"{name}: {records.problems[name]}")
    record = records.by_service[name]
    if record.removing:
        raise AutoscaleError(f"{name}: is being removed; run the playbook remove again to finish")
    return record


def _left(override: Override | None, now: float) -> Override:
    """What is still in force of an override; an empty one when nothing is."""
    return (override.left(now) if override is not None else None) or Override()


def _paused(record: Record, what: str, seconds: float, now: float) -> Override | None:
    ends = None if what == "none" else now + seconds
    return dataclasses.replace(_left(record.override, now), pause=what, pause_expires=ends).left(now)


def _shown(override: Override | None, now: float) -> Mapping[str, Any] | None:
    """What is in force, with times as people read them."""
    left = override.left(now) if override is not None else None
    if left is None:
        return None
    shown: dict[str, Any] = {}
    if left.in_force(now):
        bounds = {"min_replicas": left.min_replicas, "max_replicas": left.max_replicas}
        shown.update({bound: count for bound, count in bounds.items() if count is not None}, bounds_until=moments.local(left.expires))
    if left.paused(now) != "none":
        shown.update(pause=left.pause, pause_until=moments.local(left.pause_ends))
    return shown
