# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's HTTP API, as far as the collection uses it. Works with 1.8 and later."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any, Mapping

from .._domain.consul_version import Version, read_version
from .._domain.errors import AutoscaleError
from .http_client import HttpClient, HttpError, path_of

# Consul refuses larger values with 413, and may close the socket in the middle of the upload.
MAX_VALUE_BYTES = 512 * 1024


@dataclasses.dataclass(frozen=True)
class KvEntry:
    """A key as read: its text, the index for check-and-set and the session that holds it."""

    key: str
    value: str
    modify_index: int
    lock_index: int
    session: str | None


class Consul:
    """One Consul agent or server.

    Args:
        url: where its HTTP API listens.
        token: ACL token, sent in a header only.
        ca_path: file of the certificate authority for https.
        timeout: seconds; waits of blocking queries are added to it.
        version: of the server, such as "1.8.7"; None asks the agent when it is needed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_path: str | None = None,
        timeout: float = 10.0,
        version: str | None = None,
    ) -> None:
        headers = {"X-Consul-Token": token} if token else {}
        self._http = HttpClient(url, what="Consul", headers=headers, ca_path=ca_path, timeout=timeout)
        self._timeout = timeout
        self._version = read_version(version, "consul_version") if version else None
        self.url = self._http.base_url

    # the local agent

    def version(self) -> Version:
        """Major, minor and patch of the agent that answers, asked for once; the option consul_version goes before.

        Raises:
            AutoscaleError: the token may not read the agent, and consul_version was not given.
        """
        if self._version is None:
            try:
                answer = self.agent_self()
            except HttpError as error:
                if error.status != 403:
                    raise
                raise AutoscaleError(
                    f"{error.message}\nConsul's version is not known: give the token the right agent:read, or set consul_version"
                ) from None
            self._version = read_version(str((answer.get("Config") or {}).get("Version")), f"Config.Version of Consul at {self.url}")
        return self._version

    def agent_self(self) -> dict[str, Any]:
        return dict(self._get(path_of("v1", "agent", "self")) or {})

    def agent_services(self) -> dict[str, Any]:
        return dict(self._get(path_of("v1", "agent", "services")) or {})

    def agent_checks(self) -> dict[str, Any]:
        return dict(self._get(path_of("v1", "agent", "checks")) or {})

    def register_service(self, definition: Mapping[str, Any]) -> None:
        self._http.request("PUT", path_of("v1", "agent", "service", "register"), json=definition)

    def deregister_service(self, service_id: str) -> None:
        """Deregister at this agent; the caller has read first, since Consul answers an unknown ID with 200, 404 or 500."""
        self._http.request("PUT", path_of("v1", "agent", "service", "deregister", service_id))

    def deregister_check(self, check_id: str) -> None:
        self._http.request("PUT", path_of("v1", "agent", "check", "deregister", check_id))

    def service_maintenance(self, service_id: str, *, enable: bool, reason: str = "") -> None:
        params = {"enable": "true" if enable else "false", "reason": reason}
        self._http.request("PUT", path_of("v1", "agent", "service", "maintenance", service_id), params=params)

    # the catalog

    def catalog_nodes(self) -> list[dict[str, Any]]:
        return list(self._get(path_of("v1", "catalog", "nodes"), params={"consistent": ""}) or [])

    def node_services(self, node: str) -> list[dict[str, Any]]:
        """The services registered on one node."""
        return list((self.catalog_node(node).get("Services") or {}).values())

    def catalog_node(self, node: str) -> dict[str, Any]:
        """One node with its services, {} when the catalog does not have it."""
        return dict(self._get(path_of("v1", "catalog", "node", node), params={"consistent": ""}) or {})

    def health_state(self, state: str = "any") -> list[dict[str, Any]]:
        """The checks of the whole datacenter in one call."""
        return list(self._get(path_of("v1", "health", "state", state), params={"consistent": ""}) or [])

    def health_node(self, node: str) -> list[dict[str, Any]]:
        """The checks of one node and of its services."""
        return list(self._get(path_of("v1", "health", "node", node), params={"consistent": ""}) or [])

    def health_service(
        self, name: str, *, index: int = 0, wait: float = 0.0, params: Mapping[str, Any] | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """The instances of a service with their checks, and the index for the next blocking query.

        Args:
            index: return only when something changed since this index; 0 returns at once.
            wait: seconds that a blocking query may last.
        """
        query = dict(params or {})
        timeout = self._timeout
        if index > 0 and wait > 0:
            query.update(index=index, wait=f"{int(wait * 1000)}ms")
            # Consul adds up to wait/16 of jitter.
            timeout += wait + wait / 16
        response = self._http.request("GET", path_of("v1", "health", "service", name), params=query, timeout=timeout)
        return self._http.parsed(response), int(response.headers.get("X-Consul-Index", 0))

    # the cluster of servers

    def status_leader(self) -> str:
        """Address and port of the leader, empty when none is known; needs no right."""
        return str(self._get(path_of("v1", "status", "leader")) or "")

    def status_peers(self) -> list[str]:
        """Address and port of each server; needs no right."""
        return list(self._get(path_of("v1", "status", "peers")) or [])

    def raft_servers(self) -> list[dict[str, Any]]:
        """The servers of the cluster as the leader has them; needs operator:read."""
        return list(self._get(path_of("v1", "operator", "raft", "configuration")).get("Servers") or [])

    def autopilot_servers(self) -> list[dict[str, Any]]:
        """What the leader says of the servers' health, a few seconds old at the most; needs operator:read."""
        # It answers with 429 when one of them is not healthy.
        response = self._http.request("GET", path_of("v1", "operator", "autopilot", "health"), allow=(429,))
        return list(self._http.parsed(response).get("Servers") or [])

    # key/value

    def kv_get(self, key: str) -> KvEntry | None:
        response = self._http.request("GET", _kv(key), params={"consistent": ""}, allow=(404,))
        return None if response.status_code == 404 else _entry(self._http.parsed(response)[0])

    def kv_tree(self, prefix: str) -> list[KvEntry]:
        """All entries below a prefix in one call."""
        response = self._http.request("GET", _kv(prefix), params={"recurse": "", "consistent": ""}, allow=(404,))
        return [] if response.status_code == 404 else [_entry(raw) for raw in self._http.parsed(response)]

    def kv_keys(self, prefix: str) -> list[str]:
        """The names of all keys below a prefix, without their values."""
        response = self._http.request("GET", _kv(prefix), params={"keys": "", "consistent": ""}, allow=(404,))
        return [] if response.status_code == 404 else list(self._http.parsed(response))

    def kv_put(self, key: str, value: str, **params: Any) -> bool:
        """Write one key; params such as cas, acquire or release make it conditional. True when it was written."""
        _guard_size(key, value)
        return bool(self._http.json("PUT", _kv(key), params=params, data=value.encode()))

    def kv_delete(self, key: str, *, recurse: bool = False) -> None:
        self._http.request("DELETE", _kv(key), params={"recurse": ""} if recurse else {})

    def kv_transaction(self, operations: list[dict[str, Any]]) -> list[str]:
        """Apply KV operations together or not at all; returns the reasons for which nothing was applied, empty on success.

        Args:
            operations: `{"Verb": …, "Key": …}` each, a plain-text "Value" is encoded here.
        """
        body = []
        for operation in operations:
            if "Value" in operation:
                _guard_size(operation["Key"], operation["Value"])
                operation = dict(operation, Value=base64.b64encode(operation["Value"].encode()).decode())
            body.append({"KV": operation})
        response = self._http.request("PUT", path_of("v1", "txn"), json=body, allow=(409,))
        return [error["What"] for error in self._http.parsed(response).get("Errors") or []]

    # sessions

    def session_create(self, *, name: str, ttl: float, lock_delay: float) -> str:
        """Create a session whose locks are released when it ends; ttl and lock_delay in seconds."""
        body = {"Name": name, "TTL": f"{int(ttl)}s", "LockDelay": f"{int(lock_delay * 1000)}ms", "Behavior": "release"}
        return str(self._http.json("PUT", path_of("v1", "session", "create"), json=body)["ID"])

    def session_renew(self, session: str) -> bool:
        """Renew a session; False when it does not exist any more."""
        response = self._http.request("PUT", path_of("v1", "session", "renew", session), allow=(404,))
        return response.status_code != 404

    def session_exists(self, session: str) -> bool:
        """Whether a session has neither ended nor been destroyed."""
        return bool(self._get(path_of("v1", "session", "info", session), params={"consistent": ""}))

    def session_destroy(self, session: str) -> None:
        self._http.request("PUT", path_of("v1", "session", "destroy", session))

    def _get(self, path: str, **options: Any) -> Any:
        return self._http.json("GET", path, **options)


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


def _guard_size(key: str, value: str) -> None:
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        raise AutoscaleError(f"Consul KV {key}: {size} bytes are too many, at most {MAX_VALUE_BYTES} are allowed")
