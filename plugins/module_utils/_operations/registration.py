# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Registers instances with their checks at the local Consul agent, takes them out, and waits for their health.

A failing instance never stops the others: it becomes a Failure of the Result, and the door decides what that means.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable, Mapping, Sequence

from .._clients.consul import Consul
from .._clients.http_client import HttpError
from .._domain import consul_rights, names
from .._domain.consul_features import require_known
from .._domain.errors import AutoscaleError
from .._domain.maintenance import due
from .._domain.registration import OUR_REASON, Registered, Registration, difference, registered
from .._domain.secrets import masked_url
from .batch import Failure, Result
from .lease import RENEW_EVERY_SECONDS, Lease
from .outcome import Change
from .rights import missing, require

_OUTPUT_LIMIT = 300
_NOT_THERE = "not in the catalog"


def at_agent(consul: Consul) -> dict[str, Registered]:
    """Everything registered at the agent by instance id, in two reads, whatever its number."""
    return registered(consul.agent_services(), consul.agent_checks())


def hidden(consul: Consul, have: Mapping[str, Registered], owners: Mapping[str, str]) -> dict[str, str]:
    """Instances that the agent does not show, and could not: by id why. Only what is not shown is asked about, in one question.

    Args:
        have: what the agent shows.
        owners: the service of each instance that is looked for; empty where it is not known.
    """
    # Whoever looks for an instance is going to change it. Of a service whose name is not known, seeing it has to do.
    asked = {key: consul_rights.service(name, "write" if name else "read") for key, name in owners.items() if key not in have}
    lacking = missing(consul, asked.values())
    return {key: f"{key}: {consul_rights.lacks([right])}; nothing was changed" for key, right in asked.items() if right in lacking}


def ensure(consul: Consul, registrations: Sequence[Registration], lease: Lease, check_mode: bool) -> Result:
    """Register instances with their checks, in one call each, and only those that differ.

    A maintenance stays on. Checks that are not declared any more are removed. What the agent's version does not know is refused
    before it is sent; the version is asked for only where that may be so.

    Args:
        consul: the agent that owns the instances.
        registrations: see Registration.from_instance and from_description; their ids differ.
    """

    def one(registration: Registration, have: Registered | None) -> tuple[Change | None, str | None]:
        found = difference(registration, have)
        if found is None:
            return None, None
        if registration.gated_fields:
            try:
                require_known(registration.gated_fields, consul.version())
            except AutoscaleError as error:
                raise AutoscaleError(f"{registration.id}: {error.message}") from None
        if not check_mode:
            lease.check(registration.service)
            _register(consul, registration, have)
        return Change(f"service {registration.id}", *found), None

    return _each(consul, [(item.service, item.id, item) for item in registrations], lambda item, have: one(item[2], have))


def declare(
    consul: Consul, descriptions: Sequence[Mapping[str, Any]], lease: Lease, check_mode: bool, *, wait_seconds: float = 0.0
) -> Result:
    """Register instances as the options of the module consul_service describe them; a wrong description is that instance's failure.

    Args:
        wait_seconds: for all of them together to be passing; 0 does not wait.
    """
    good: dict[str, Registration] = {}
    failures: list[Failure] = []
    for raw in descriptions:
        try:
            registration = Registration.from_description(raw)
            if registration.id in good:
                raise AutoscaleError(f"{registration.id}: this id is declared twice; the first declaration was taken")
            good[registration.id] = registration
        except AutoscaleError as error:
            failures.append(Failure(str(raw.get("name")), str(raw.get("id") or raw.get("name")), error.message))
    result = Result(failures=tuple(failures)) + ensure(consul, list(good.values()), lease, check_mode)
    if check_mode or wait_seconds <= 0:
        return result
    failed = {failure.instance for failure in result.failures}
    deadline = time.monotonic() + wait_seconds
    for service in dict.fromkeys(item.service for item in good.values()):
        ids = [item.id for item in good.values() if item.service == service and item.id not in failed]
        result += Result(failures=wait_passing(consul, service, ids, max(0.0, deadline - time.monotonic()), 0.0, lease))
    return result


def owners_by_id(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The service of every instance id in the options of the module consul_service; raises AutoscaleError."""
    return {names.instance_id(raw.get("id") or raw.get("name")): names.service_name(raw.get("name")) for raw in descriptions}


def remove(consul: Consul, ids: Iterable[str], lease: Lease, check_mode: bool, *, owners: Mapping[str, str] | None = None) -> Result:
    """Deregister instances at the agent that owns them; an absent one is nothing to do.

    Args:
        owners: when given, the service of each id; one that is registered for another service is a failure and is left alone.
    """

    def one(identity: str, have: Registered | None) -> tuple[Change | None, str | None]:
        if have is None:
            # Where its service is not known, nobody could be asked about a right; asked for by its id, a missing one is an error.
            consul.agent_service(identity)
            return None, None
        check_owner(have, owners)
        if not check_mode:
            lease.check(have.service)
            _deregister(consul, identity)
        return Change(f"service {identity}", have.view(), None), None

    return _each(consul, [((owners or {}).get(identity, ""), identity) for identity in ids], lambda item, have: one(item[1], have))


def maintain(
    consul: Consul,
    ids: Iterable[str],
    enable: bool,
    reason: str,
    lease: Lease,
    check_mode: bool,
    *,
    owners: Mapping[str, str] | None = None,
) -> Result:
    """Begin or end the maintenance of instances at the agent that owns them; an unknown id is a failure.

    Args:
        reason: text shown by Consul. When ending, only a maintenance whose reason begins with this text is ended, so that
            nobody's own maintenance is ended by us; empty ends any.
        owners: as for remove.
    """

    def one(identity: str, have: Registered | None) -> tuple[Change | None, str | None]:
        if have is None:
            raise AutoscaleError(f"{identity} is not registered at the agent {consul.url}: maintenance needs the agent that owns it")
        check_owner(have, owners)
        act, warning = due(identity, have.maintenance, enable, reason)
        if not act:
            return None, warning
        if not check_mode:
            lease.check(have.service)
            consul.service_maintenance(identity, enable=enable, reason=reason)
        states = ({"maintenance": have.maintenance}, {"maintenance": reason if enable else None})
        return Change(f"service {identity} maintenance", *states), None

    return _each(consul, [((owners or {}).get(identity, ""), identity) for identity in ids], lambda item, have: one(item[1], have))


def wait_passing(
    consul: Consul, service: str, ids: Iterable[str], deadline_seconds: float, stable_seconds: float, lease: Lease
) -> tuple[Failure, ...]:
    """Wait by blocking query until all instances are passing; returns those that are not at the deadline, with their checks' last output.

    Args:
        ids: of one service.
        deadline_seconds: from now, for all of them together.
        stable_seconds: an instance counts when it was passing this long without a break; 0 takes the first sight.
    """
    deadline = time.monotonic() + deadline_seconds
    waiting = dict.fromkeys(ids, _NOT_THERE)
    since: dict[str, float] = {}
    index = 0
    try:
        while waiting:
            lease.check(service)
            now = time.monotonic()
            entries, index = _next_health(consul, service, index, _longest_wait(now, deadline, stable_seconds, waiting, since))
            now = time.monotonic()
            states = {entry["Service"]["ID"]: unhealthy(entry) for entry in entries}
            for identity in list(waiting):
                state = states.get(identity, _NOT_THERE)
                if state is not None:
                    waiting[identity] = state
                    since.pop(identity, None)
                    continue
                waiting[identity] = "passing, but not for long enough"
                if now - since.setdefault(identity, now) >= stable_seconds:
                    del waiting[identity]
            if now >= deadline:
                break
        if _NOT_THERE in waiting.values():
            require(consul, [consul_rights.service(service), consul_rights.node()], f"shows no instance of {service} that is waited for")
    except AutoscaleError as error:
        return tuple(Failure(service, identity, error.message) for identity in waiting)
    seen = {**waiting, **_at_agent_unhealthy(consul, waiting)} if waiting else {}
    return tuple(
        Failure(service, identity, f"{identity} was not passing within {deadline_seconds:g} s; last seen: {state}")
        for identity, state in seen.items()
    )


def unhealthy(entry: dict[str, Any]) -> str | None:
    """Why an entry of /v1/health/service is not passing, None when it is; judged here, not by the agent that was asked."""
    return "; ".join(_said(check) for check in entry["Checks"] if check.get("Status") != "passing") or None


def _at_agent_unhealthy(consul: Consul, ids: Iterable[str]) -> dict[str, str]:
    """As unhealthy, from the agent: the catalog learns of a new output only with a change of status, or minutes later."""
    try:
        checks = list(consul.agent_checks().values())
    except AutoscaleError:
        return {}
    states = {identity: unhealthy({"Checks": [check for check in checks if check.get("ServiceID") == identity]}) for identity in ids}
    return {identity: state for identity, state in states.items() if state is not None}


def _said(check: dict[str, Any]) -> str:
    output = str(check.get("Output") or check.get("Notes") or "no output yet").strip()
    return f"check {check.get('CheckID')!r} is {check.get('Status')}: {masked_url(output)[:_OUTPUT_LIMIT]}"


def _each(
    consul: Consul, items: Sequence[tuple[Any, ...]], one: Callable[[Any, Registered | None], tuple[Change | None, str | None]]
) -> Result:
    """Run one change per item (service, id, …) against what the agent has; an error of one item is its failure."""
    changes: list[Change] = []
    failures: list[Failure] = []
    warnings: list[str] = []
    if not items:
        return Result()
    try:
        have = at_agent(consul)
        unseen = hidden(consul, have, {item[1]: item[0] for item in items})
    except AutoscaleError as error:
        return Result(failures=tuple(Failure(item[0], item[1], error.message) for item in items))
    for item in items:
        if item[1] in unseen:
            failures.append(Failure(item[0], item[1], unseen[item[1]]))
            continue
        existing = have.get(item[1])
        try:
            change, warning = one(item, existing)
        except AutoscaleError as error:
            failures.append(Failure(item[0] or (existing.service if existing else ""), item[1], error.message))
            continue
        changes += [change] if change else []
        warnings += [warning] if warning else []
    return Result(tuple(changes), tuple(failures), tuple(warnings))


def check_owner(have: Registered, owners: Mapping[str, str] | None) -> None:
    """Raise AutoscaleError when an instance is not of the service that its id was given with."""
    expected = (owners or {}).get(have.id)
    if expected and have.service != expected:
        raise AutoscaleError(f"{have.id} is registered for the service {have.service!r}, not {expected!r}; it was left alone")


def _register(consul: Consul, registration: Registration, have: Registered | None) -> None:
    # Not with replace-existing-checks: that would also remove the maintenance check and send traffic to an instance that was
    # taken out. Undeclared checks are removed one by one instead.
    consul.register_service(registration.definition())
    if have is None:
        return
    for check_id in have.undeclared_checks(registration):
        consul.deregister_check(check_id)
    if have.maintenance is not None:
        # Idempotent: Consul does nothing when it is still on.
        consul.service_maintenance(registration.id, enable=True, reason=have.maintenance or OUR_REASON.strip())


def _deregister(consul: Consul, identity: str) -> None:
    try:
        consul.deregister_service(identity)
    except AutoscaleError as error:
        # It may have gone between the read and this call; Consul's versions answer that with 404 or 500.
        denied = isinstance(error, HttpError) and error.status == 403
        if denied or consul.agent_service(identity) is not None:
            raise


def _next_health(consul: Consul, service: str, index: int, wait: float) -> tuple[list[dict[str, Any]], int]:
    entries, new = consul.health_service(service, index=index, wait=wait)
    # An index that went backwards is from a restored server: begin again.
    return entries, new if new >= index else 0


def _longest_wait(now: float, deadline: float, stable: float, waiting: dict[str, str], since: dict[str, float]) -> float:
    """Seconds until something has to be looked at again, even if the catalog does not change."""
    ends = [deadline, now + RENEW_EVERY_SECONDS] + [since[identity] + stable for identity in waiting if identity in since]
    return max(0.01, min(ends) - now)
