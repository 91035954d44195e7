# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Locks in Consul KV.

A lock is a key that a session has acquired; its value says who holds it since when. It ends with the session: by release, or
at the latest after twice the session's time to live, plus the lock delay, when its holder was killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from datetime import datetime, timezone
from typing import Iterable, Iterator, NamedTuple

from .._clients.consul import Consul
from .._domain.errors import AutoscaleError, LockLost
from .._domain.names import KV_ROOT
from .lease import lock_key

FLEET_LOCK = f"{KV_ROOT}/lock"
SCHEMA = 1
_POLL_SECONDS = 0.25
_RENEW_SHARE = 3.0


class LockBusy(AutoscaleError):
    """Somebody else holds a lock that is needed."""


@dataclasses.dataclass(frozen=True)
class Busy:
    """A lock that was not acquired.

    Args:
        key: of the lock.
        holder: who holds it, or held it last while its lock delay lasts.
        since: ISO 8601 time at which the holder acquired it.
        session: the holding session; None in the lock delay after its end.
    """

    key: str
    holder: str
    since: str
    session: str | None

    def text(self) -> str:
        if self.session is None:
            return f"{self.key} was held by {self.holder} since {self.since}; that session has ended and the lock delay is not over"
        return f"{self.key} is held by {self.holder} since {self.since}"


@dataclasses.dataclass(frozen=True)
class Acquired:
    """Locks that one session holds now, and those that are busy.

    Args:
        session: None when nothing was acquired.
        acquired: keys.
    """

    session: str | None
    acquired: tuple[str, ...]
    busy: tuple[Busy, ...]


class Locking(NamedTuple):
    """How one process takes locks.

    Args:
        holder: who we are, for those who find the lock busy.
        wait: seconds to go on trying for the busy ones; 0 tries once.
        ttl: seconds after which the session ends when nobody renews it, from 10 to 86400.
        delay: seconds for which nobody gets a lock whose holder vanished.
    """

    holder: str
    wait: float = 0.0
    ttl: float = 60.0
    delay: float = 15.0


def acquire(
    consul: Consul,
    keys: Iterable[str],
    holder: str,
    *,
    ttl: float = 60.0,
    lock_delay: float = 15.0,
    wait: float = 0.0,
) -> Acquired:
    """Acquire the locks that are free, by one new session.

    Args:
        keys: see lease.lock_key and FLEET_LOCK.
        holder: who we are, for those who find the lock busy.
        ttl: seconds after which the session ends when nobody renews it, from 10 to 86400.
        lock_delay: seconds for which nobody gets a lock whose holder vanished.
        wait: seconds to go on trying for the busy ones; 0 tries once.
    """
    pending = list(dict.fromkeys(keys))
    if not pending:
        return Acquired(None, (), ())
    deadline = time.monotonic() + wait
    session = consul.session_create(name=f"autoscale {holder}", ttl=ttl, lock_delay=lock_delay)
    renewed = time.monotonic()
    acquired: list[str] = []
    try:
        while True:
            got = [key for key in pending if consul.kv_put(key, _value(holder), acquire=session)]
            acquired += got
            pending = [key for key in pending if key not in got]
            now = time.monotonic()
            if not pending or now >= deadline:
                break
            if now - renewed > ttl / _RENEW_SHARE:
                if not consul.session_renew(session):
                    raise LockLost(f"the session {session} of {holder} ended while it waited for {', '.join(pending)}")
                renewed = now
            time.sleep(min(_POLL_SECONDS, deadline - now))
        busy = tuple(who_holds(consul, key) for key in pending)
    except BaseException:
        # Also when interrupted: a session left behind would keep what it has for its time to live.
        with contextlib.suppress(AutoscaleError):
            release(consul, session, acquired)
        raise
    if not acquired:
        release(consul, session, ())
        return Acquired(None, (), busy)
    return Acquired(session, tuple(acquired), busy)


def would_acquire(consul: Consul, keys: Iterable[str]) -> Acquired:
    """What acquire would find, by reading only; a lock delay cannot be seen this way."""
    free: list[str] = []
    busy: list[Busy] = []
    for key in dict.fromkeys(keys):
        entry = consul.kv_get(key)
        if entry is None or entry.session is None:
            free.append(key)
        else:
            busy.append(_busy(key, entry.value, entry.session))
    return Acquired(None, tuple(free), tuple(busy))


def release(consul: Consul, session: str, keys: Iterable[str] | None = None) -> bool:
    """Give the locks back and end the session; False when it had ended already.

    Destroying a session that holds locks would start their lock delay, so they are released first.

    Args:
        keys: the locks the session may hold; None finds them, at the price of one read per lock of the fleet.
    """
    for key in held_by(consul, session) if keys is None else keys:
        consul.kv_put(key, json.dumps({"schema": SCHEMA}), release=session)
    known = consul.session_exists(session)
    consul.session_destroy(session)
    return known


def held_by(consul: Consul, session: str) -> tuple[str, ...]:
    """The keys of the locks that a session holds."""
    locks = [key for key in consul.kv_keys(f"{KV_ROOT}/") if key == FLEET_LOCK or key.endswith("/lock")]
    entries = [consul.kv_get(key) for key in locks]
    return tuple(entry.key for entry in entries if entry is not None and entry.session == session)


def forget(consul: Consul, service: str) -> None:
    """Delete the key of a service's lock, unless somebody has taken it meanwhile."""
    entry = consul.kv_get(lock_key(service))
    if entry is not None and entry.session is None:
        consul.kv_transaction([{"Verb": "delete-cas", "Key": entry.key, "Index": entry.modify_index}])


def who_holds(consul: Consul, key: str) -> Busy:
    """Who holds a lock, or held it last."""
    entry = consul.kv_get(key)
    return _busy(key, entry.value if entry else "", entry.session if entry else None)


@contextlib.contextmanager
def fleet_lock(consul: Consul, holder: str, wait_seconds: float, *, ttl: float = 30.0) -> Iterator[str]:
    """Hold the short lock of the whole fleet inside one process; yields its session.

    Raises:
        LockBusy: it was not free within wait_seconds.
    """
    result = acquire(consul, (FLEET_LOCK,), holder, ttl=ttl, lock_delay=ttl / 2, wait=wait_seconds)
    if result.session is None:
        raise LockBusy(f"{result.busy[0].text()}; it was not free within {wait_seconds:g} s", busy=dataclasses.asdict(result.busy[0]))
    try:
        yield result.session
    finally:
        # What was done under the lock stands; a Consul that is gone now ends the session by its time to live.
        with contextlib.suppress(AutoscaleError):
            release(consul, result.session, result.acquired)


@contextlib.contextmanager
def held(consul: Consul, services: Iterable[str], locking: Locking) -> Iterator[str]:
    """Hold the locks of all these services inside one process; yields the session.

    Raises:
        LockBusy: one of them was not free in time; none is held then.
    """
    keys = [lock_key(service) for service in services]
    result = acquire(consul, keys, locking.holder, ttl=locking.ttl, lock_delay=locking.delay, wait=locking.wait)
    try:
        if result.session is None or result.busy:
            told = "; ".join(busy.text() for busy in result.busy)
            raise LockBusy(f"{told}; it was not free within {locking.wait:g} s")
        yield result.session
    finally:
        if result.session is not None:
            with contextlib.suppress(AutoscaleError):
                release(consul, result.session, result.acquired)


def _value(holder: str) -> str:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return json.dumps({"holder": holder, "schema": SCHEMA, "since": since}, sort_keys=True)


def _busy(key: str, value: str, session: str | None) -> Busy:
    try:
        told = json.loads(value or "{}")
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    return Busy(key, str(told.get("holder") or "somebody unknown"), str(told.get("since") or "an unknown time"), session)
