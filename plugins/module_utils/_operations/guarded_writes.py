# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Writes to Consul KV that happen only while a lock is held, and only on what was read."""

from __future__ import annotations

import contextlib
from typing import Any, Mapping, NoReturn, Sequence

from .._clients.consul import Consul
from .._clients.consul_transaction import MAX_BYTES, TooManyOperations, encoded
from .._clients.http_client import HttpError, Unreachable
from .._domain.consul_rights import DENIED
from .._domain.errors import AutoscaleError, LockLost
from .._domain.transaction import fitting
from .lease import lock_key
from .locks import FLEET_LOCK, who_holds

# Of a transaction whose fate nobody knows.
_TRIES = 3


class Conflict(AutoscaleError):
    """A check-and-set write found that the key was changed since it was read; nothing of its transaction was written."""


def write_guarded(consul: Consul, session: str | None, service: str, writes: Sequence[tuple[str, str | None, int | None]]) -> None:
    """Write keys in transactions that hold only while the service's lock is ours.

    What the server takes in one transaction (64 operations on Consul 1.8, 128 later) is written all or nothing; more is written in
    order, one transaction after the other, each with the guard. What is too large is refused before anything is written.

    Args:
        session: None writes without a lock.
        service: whose lock guards the writes; empty for the fleet's.
        writes: key, value and the index for check-and-set: 0 for a key that must not exist yet, None to write whatever is
            there. A value of None deletes the key.

    Raises:
        LockLost: the lock is not ours any more.
        Conflict: a key was changed since it was read.
    """
    guard: list[dict[str, Any]] = []
    lock = lock_key(service) if service else FLEET_LOCK
    if session is not None:
        guard = [{"Verb": "check-session", "Key": lock, "Session": session}]
    left = [_operation(*write) for write in writes]
    # With the commas and brackets around them.
    sizes = [len(encoded(operation)) + 1 for operation in left]
    room = MAX_BYTES - 1 - sum(len(encoded(operation)) + 1 for operation in guard)
    for operation, size in zip(left, sizes):
        if size > room:
            raise AutoscaleError(f"Consul KV {operation['Key']}: {size} bytes as sent are too many, a transaction has room for {room}")
    limit: int | None = None
    while left:
        count = fitting(sizes, operations=None if limit is None else limit - len(guard), size=room)
        chunk = left[:count]
        try:
            reasons, unsure = _transact(consul, guard + chunk)
        except TooManyOperations as refused:
            if not len(guard) < refused.limit < len(guard) + count:
                raise
            limit = refused.limit
            continue
        # Who may not write may not read either.
        if reasons and not (unsure and not _is_denied(reasons) and _is_ours(consul, session, lock) and _is_written(consul, chunk)):
            _not_written(consul, session, service, lock, [operation["Key"] for operation in chunk], reasons)
        left, sizes = left[count:], sizes[count:]


def _transact(consul: Consul, operations: Sequence[Mapping[str, Any]]) -> tuple[list[str], bool]:
    """Send a transaction, again where nobody knows whether it was done, as when Consul's leader was lost on the way.

    That is safe: check-and-set finds a first success and refuses the second one, and the rest leaves the same twice as once.

    Returns:
        Why it was refused, and whether an earlier try may have done it.
    """
    for tries in range(_TRIES - 1):
        with contextlib.suppress(Unreachable):
            try:
                return consul.kv_transaction(operations), tries > 0
            except HttpError as error:
                if error.status < 500:
                    raise
    return consul.kv_transaction(operations), True


def _is_denied(reasons: Sequence[str]) -> bool:
    return any(DENIED in reason for reason in reasons)


def _is_ours(consul: Consul, session: str | None, lock: str) -> bool:
    return session is None or who_holds(consul, lock).session == session


def _is_written(consul: Consul, operations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all of it is there as it should be."""
    entries = [(consul.kv_get(operation["Key"]), operation.get("Value")) for operation in operations]
    return all(value == (None if entry is None else entry.value) for entry, value in entries)


def _not_written(consul: Consul, session: str | None, service: str, lock: str, written: Sequence[str], reasons: Sequence[str]) -> NoReturn:
    keys = ", ".join(written)
    told = f"Consul at {consul.url} answered: {'; '.join(dict.fromkeys(reasons))}"
    if _is_denied(reasons):
        raise AutoscaleError(f"{keys} were not written, since Consul does not let us. {told}")
    if not _is_ours(consul, session, lock):
        raise LockLost(f"{service or 'fleet'}: the lock {lock} is not held by this run any more; {keys} were not written. {told}")
    raise Conflict(f"{keys} were not written: somebody else changed them since they were read; run again. {told}", keys=keys)


def _operation(key: str, value: str | None, index: int | None) -> dict[str, Any]:
    if value is None:
        return {"Verb": "delete", "Key": key} if index is None else {"Verb": "delete-cas", "Key": key, "Index": index}
    if index is None:
        return {"Verb": "set", "Key": key, "Value": value}
    return {"Verb": "cas", "Key": key, "Value": value, "Index": index}
