# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How Consul is asked: the connection, its version, its servers, and what the token may."""

from __future__ import annotations

from typing import Any, Sequence

from .._domain.consul_rights import Right, refusal
from .._domain.consul_version import Version, read_version
from .._domain.errors import AutoscaleError
from .consul_faults import Faults
from .http_client import HttpClient, HttpError, path_of
from .http_faults import Advice

_ADVICE = Advice("consul_url", "consul_ca_path", "consul_client_cert and consul_client_key", "consul_token", "consul_timeout")
# Consul refuses to answer more questions about rights at once.
_MAX_RIGHTS = 64
# Newer servers say with it that they left out what the token may not read; it came with 1.11.
_FILTERED = "X-Consul-Results-Filtered-By-ACLs"


class ConsulApi:
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

    def version(self) -> Version:
        """Major, minor and patch of the agent that answers, asked for once; the option consul_version goes before.

        Raises:
            AutoscaleError: the token may not read the agent, and consul_version was not given.
        """
        if self._version is None:
            try:
                answer = self._get(path_of("v1", "agent", "self")) or {}
            except HttpError as error:
                if error.status != 403:
                    raise
                raise AutoscaleError(
                    f"{error.message}\nConsul's version is not known: give the token the right agent:read, or set consul_version"
                ) from None
            self._version = read_version(str((answer.get("Config") or {}).get("Version")), f"Config.Version of Consul at {self.url}")
        return self._version

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
