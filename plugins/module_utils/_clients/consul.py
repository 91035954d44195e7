# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's HTTP API, as far as the collection uses it. Works with 1.8 and later."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any, Mapping, Sequence

from .._domain import names
from .._domain.consul_rights import Right, refusal
from .._domain.consul_version import Version, read_version
from .._domain.errors import AutoscaleError
from .consul_faults import Faults
from .consul_transaction import TooManyOperations, encoded, guard_size, limit_in, reason_of
from .http_client import HttpClient, HttpError, path_of
from .http_faults import Advice

_ADVICE = Advice("consul_url", "consul_ca_path", "consul_client_cert and consul_client_key", "consul_token", "consul_timeout")
_CONSISTENT: Mapping[str, Any] = {"consistent": ""}
# Consul refuses to answer more questions about rights at once.
_MAX_RIGHTS = 64
# Newer servers say with it that they left out what the token may not read; it came with 1.11.
_FILTERED = "X-Consul-Results-Filtered-By-ACLs"


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
        client_cert, client_key: files of the certificate and its key, where Consul asks clients for one.
        timeout: seconds; waits of blocking queries are added to it.
        version: of the server, such as "1.8.7"; None asks the agent when it is needed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_path: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = 10.0,
        version: str | None = None,
    ) -> None:
        headers = {"X-Consul-Token": token} if token else {}
        self._http = HttpClient(
            url,
            what="Consul",
            headers=headers,
            ca_path=ca_path,
            client_cert=client_cert,
            client_key=client_key,
            timeout=timeout,
            advice=_ADVICE,
            judge=Faults(timeout).judge,
            explain=refusal,
        )
        self._timeout = timeout
        # Whether the server has said of any answer that it left something out for want of a right; older ones never say it.
        self.filtered = False
        self._version = read_version(version, "consul_version") if version else None
        self.url = self._http.base_url

    # the servers

    def leader(self) -> str:
        """Address and port of the servers' leader, empty when there is none; needs no right."""
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

    def date(self) -> str:
        """The time of an answer, as the header Date has it; empty where there is none."""
        return str(self._http.request("GET", path_of("v1", "status", "leader")).headers.get("Date", ""))

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

    def agent_members(self) -> list[dict[str, Any]]:
        """The members of the gossip pool as this agent sees them."""
        return list(self._get(path_of("v1", "agent", "members")) or [])

    def agent_service(self, service_id: str) -> dict[str, Any] | None:
        """One instance at this agent, None when it has none of this ID; a missing right is an error here, unlike in a list."""
        response = self._http.request("GET", path_of("v1", "agent", "service", service_id), allow=(404,))
        return None if response.status_code == 404 else dict(self._http.parsed(response))

    def agent_services(self) -> dict[str, Any]:
        return dict(self._get(path_of("v1", "agent", "services")) or {})

    def agent_checks(self) -> dict[str, Any]:
        return dict(self._get(path_of("v1", "agent", "checks")) or {})

    def register_service(self, definition: Mapping[str, Any]) -> None:
        self._http.request("PUT", path_of("v1", "agent", "service", "register"), json=definition, repeatable=True)

    def deregister_service(self, service_id: str) -> None:
        """Deregister at this agent; the caller has read first, since Consul answers an unknown ID with 200, 404 or 500."""
        self._http.request("PUT", path_of("v1", "agent", "service", "deregister", service_id))

    def deregister_check(self, check_id: str) -> None:
        self._http.request("PUT", path_of("v1", "agent", "check", "deregister", check_id))

    def service_maintenance(self, service_id: str, *, enable: bool, reason: str = "") -> None:
        params = {"enable": "true" if enable else "false", "reason": reason}
        self._http.request("PUT", path_of("v1", "agent", "service", "maintenance", service_id), params=params, repeatable=True)

    def node_maintenance(self, *, enable: bool, reason: str = "") -> None:
        params = {"enable": "true" if enable else "false", "reason": reason}
        self._http.request("PUT", path_of("v1", "agent", "maintenance"), params=params, repeatable=True)

    # the catalog

    def deregister_from_catalog(self, node: str, service_id: str) -> None:
        """For an agent that is gone; one that is alive registers its instances again."""
        self._http.request("PUT", path_of("v1", "catalog", "deregister"), json={"Node": node, "ServiceID": service_id})

    # Reads are consistent unless the caller says otherwise by params.

    def catalog_nodes(self, *, params: Mapping[str, Any] = _CONSISTENT) -> list[dict[str, Any]]:
        return list(self._get(path_of("v1", "catalog", "nodes"), params=params) or [])

    def node_services(self, node: str) -> list[dict[str, Any]]:
        """The services registered on one node."""
        return list((self.catalog_node(node).get("Services") or {}).values())

    def catalog_node(self, node: str, *, params: Mapping[str, Any] = _CONSISTENT) -> dict[str, Any]:
        """One node with its services, {} when the catalog does not have it."""
        return dict(self._get(path_of("v1", "catalog", "node", node), params=params) or {})

    def health_state(self, state: str = "any", *, params: Mapping[str, Any] = _CONSISTENT) -> list[dict[str, Any]]:
        """The checks of the whole datacenter in one call."""
        return list(self._get(path_of("v1", "health", "state", state), params=params) or [])

    def health_node(self, node: str, *, params: Mapping[str, Any] = _CONSISTENT) -> list[dict[str, Any]]:
        """The checks of one node and of its services."""
        return list(self._get(path_of("v1", "health", "node", node), params=params) or [])

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
        return self._read(response), int(response.headers.get("X-Consul-Index", 0))

    # prepared queries

    def query_list(self, *, params: Mapping[str, Any] = _CONSISTENT) -> list[dict[str, Any]]:
        """The prepared queries that the token may see."""
        return list(self._get(path_of("v1", "query"), params=params) or [])

    def query_execute(self, query: str, *, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of a prepared query, by its name or ID; None when there is none of that name."""
        response = self._http.request("GET", path_of("v1", "query", query, "execute"), params=params, allow=(404,))
        return None if response.status_code == 404 else dict(self._read(response))

    def query_create(self, definition: Mapping[str, Any], *, params: Mapping[str, Any]) -> str:
        """Create a prepared query; returns its ID."""
        return str(self._http.json("POST", path_of("v1", "query"), json=definition, params=params)["ID"])

    def query_update(self, query_id: str, definition: Mapping[str, Any], *, params: Mapping[str, Any]) -> None:
        """Put a whole definition in the place of what the prepared query was."""
        self._http.request("PUT", path_of("v1", "query", query_id), json=definition, params=params)

    def query_delete(self, query_id: str, *, params: Mapping[str, Any]) -> None:
        self._http.request("DELETE", path_of("v1", "query", query_id), params=params)

    # key/value

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

    # rights

    def may(self, rights: Sequence[Right]) -> list[bool] | None:
        """Whether the token has each of these rights. It needs no right to ask, but Consul has to know it.

        The question is the one that Consul's own page asks, since 1.8. None where it cannot be answered: the agent has ACLs
        turned off, or its version does not know the question.
        """
        allowed: list[bool] = []
        where = path_of("v1", "internal", "acl", "authorize")
        for start in range(0, len(rights), _MAX_RIGHTS):
            asked = [right.asked() for right in rights[start : start + _MAX_RIGHTS]]
            response = self._http.request("POST", where, json=asked, allow=(401, 404, 405), repeatable=True)
            if response.status_code != 200:
                return None
            allowed += [bool(answer["Allow"]) for answer in self._http.parsed(response)]
        return allowed

    def _get(self, path: str, **options: Any) -> Any:
        return self._read(self._http.request("GET", path, **options))

    def _read(self, response: Any) -> Any:
        """The parsed body of an answer to a read; notes whether something was left out of it."""
        self.filtered = self.filtered or response.headers.get(_FILTERED) == "true"
        return self._http.parsed(response)


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
