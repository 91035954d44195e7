# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's key/value store and its sessions."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any, Mapping, Sequence

from .._domain import names
from .consul_api import ConsulApi
from .consul_transaction import TooManyOperations, encoded, guard_size, limit_in, reason_of
from .http_client import HttpError, path_of


@dataclasses.dataclass(frozen=True)
class KvEntry:
    """A key as read: its text, the index for check-and-set and the session that holds it."""

    key: str
    value: str
    modify_index: int
    lock_index: int
    session: str | None


class ConsulKv(ConsulApi):
    """Keys, transactions and sessions. Args: see ConsulApi."""

    def kv_get(self, key: str) -> KvEntry | None:
        response = self._http.request("GET", _kv(key), params={"consistent": ""}, allow=(404,))
        return None if response.status_code == 404 else _entry(self._read(response)[0])

    def kv_tree(self, prefix: str) -> list[KvEntry]:
        """All entries below a prefix in one call."""
        return [_entry(raw) for raw in self._below(prefix, "recurse")]

    def kv_keys(self, prefix: str) -> list[str]:
        """The names of all keys below a prefix, without their values."""
        return list(self._below(prefix, "keys"))

    def _below(self, prefix: str, how: str) -> list[Any]:
        response = self._http.request("GET", _kv(prefix), params={how: "", "consistent": ""}, allow=(404,))
        if response.status_code != 404:
            return list(self._read(response))
        # To a token without the right, nothing is there. Only the read of a single key tells.
        self.kv_get(prefix)
        return []

    def kv_put(self, key: str, value: str, **params: Any) -> bool:
        """Write one key; params such as cas, acquire or release make it conditional. True when it was written."""
        for name in ("acquire", "release"):
            if name in params:
                names.session_id(params[name])
        body = value.encode()
        guard_size(key, len(body))
        # The session that has a lock acquires it again, and one that has given it back does so for nothing.
        return bool(self._http.json("PUT", _kv(key), params=params, data=body, repeatable=not {"acquire", "release"}.isdisjoint(params)))

    def kv_delete(self, key: str, *, recurse: bool = False) -> None:
        self._http.request("DELETE", _kv(key), params={"recurse": ""} if recurse else {})

    def kv_transaction(self, operations: Sequence[Mapping[str, Any]]) -> list[str]:
        """Apply KV operations together or not at all; returns the reasons for which nothing was applied, empty on success.

        Args:
            operations: `{"Verb": …, "Key": …}` each, a plain-text "Value" is encoded here.

        Raises:
            TooManyOperations: this server takes fewer in one transaction.
        """
        body = b"[" + b",".join(map(encoded, operations)) + b"]"
        guard_size("a transaction", len(body))
        try:
            response = self._http.request("PUT", path_of("v1", "txn"), data=body, allow=(409,))
        except HttpError as error:
            limit = limit_in(error.body)
            if limit is None:
                raise
            raise TooManyOperations(error.message, limit) from None
        return [reason_of(error, operations) for error in self._http.parsed(response).get("Errors") or []]

    # sessions

    def session_create(self, *, name: str, ttl: float, lock_delay: float) -> str:
        """Create a session whose locks are released when it ends; ttl and lock_delay in seconds.

        When an answer is lost on the way there may be two: the other one holds nothing, and ends by its time to live.
        """
        body = {"Name": name, "TTL": f"{int(ttl)}s", "LockDelay": f"{int(lock_delay * 1000)}ms", "Behavior": "release"}
        return str(self._http.json("PUT", path_of("v1", "session", "create"), json=body, repeatable=True)["ID"])

    def session_renew(self, session: str) -> bool:
        """Renew a session; False when it does not exist any more."""
        response = self._http.request("PUT", path_of("v1", "session", "renew", names.session_id(session)), allow=(404,), repeatable=True)
        return response.status_code != 404

    def session_exists(self, session: str) -> bool:
        """Whether a session has neither ended nor been destroyed."""
        return bool(self._get(path_of("v1", "session", "info", names.session_id(session)), params={"consistent": ""}))

    def session_destroy(self, session: str) -> None:
        self._http.request("PUT", path_of("v1", "session", "destroy", names.session_id(session)), repeatable=True)


def _kv(key: str) -> str:
    return path_of("v1", "kv", *key.split("/"))


def _entry(raw: Mapping[str, Any]) -> KvEntry:
    return KvEntry(
        key=raw["Key"],
        value=base64.b64decode(raw["Value"] or "").decode("utf-8", "replace"),
        modify_index=raw["ModifyIndex"],
        lock_index=raw.get("LockIndex", 0),
        session=raw.get("Session"),
    )
