# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's HTTP API, as far as the collection uses it. Works with 1.8 and later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping, Sequence

from .consul_kv import ConsulKv
from .http_client import path_of

# Reads of nodes under way at once: one reads while Consul answers the others.
_PARALLEL = 4


class Consul(ConsulKv):
    """One Consul agent or server. Args: see ConsulApi."""

    # the local agent

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

    def catalog_nodes(self, *, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return list(self._get(path_of("v1", "catalog", "nodes"), params=_consistent(params)) or [])

    def node_services(self, node: str, *, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The services registered on one node."""
        return list((self.catalog_node(node, params=params).get("Services") or {}).values())

    def services_by_node(self, nodes: Sequence[str], *, params: Mapping[str, Any] | None = None) -> dict[str, list[dict[str, Any]]]:
        """The services registered on each of these nodes, in their order; a call per node."""
        with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
            return dict(zip(nodes, pool.map(lambda node: self.node_services(node, params=params), nodes)))

    def catalog_node(self, node: str, *, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One node with its services, {} when the catalog does not have it."""
        return dict(self._get(path_of("v1", "catalog", "node", node), params=_consistent(params)) or {})

    def health_state(self, state: str = "any", *, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The checks of the whole datacenter in one call."""
        return list(self._get(path_of("v1", "health", "state", state), params=_consistent(params)) or [])

    def health_node(self, node: str, *, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The checks of one node and of its services."""
        return list(self._get(path_of("v1", "health", "node", node), params=_consistent(params)) or [])

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

    def query_list(self, *, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The prepared queries that the token may see."""
        return list(self._get(path_of("v1", "query"), params=_consistent(params)) or [])

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


def _consistent(params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {"consistent": ""} if params is None else params
