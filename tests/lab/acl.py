# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consul with ACLs on: everything is denied that no policy allows, and the policies are those of docs/consul_policies."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from lab import CLONE, Lab
from processes import Consul, wait_until

POLICIES = CLONE / "docs" / "consul_policies"
# Of these tests only, where nothing else listens.
MANAGEMENT = "5ecae7aa-0000-4000-8000-000000000001"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def acl_options(agent_token: str) -> dict[str, Any]:
    """Configuration of an agent; the first token is called initial_management from 1.11 on."""
    return {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": MANAGEMENT, "agent": agent_token}}}


def call(url: str, method: str, path: str, body: Any = None, *, token: str = MANAGEMENT) -> Any:
    """One request to Consul; raises urllib's HTTPError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"X-Consul-Token": token}, method=method)
    with _NO_PROXY.open(request, timeout=5) as response:
        return json.load(response)


def rules(*names: str) -> str:
    """The rules of some of the documented policies."""
    return "\n".join((POLICIES / f"{name}.hcl").read_text() for name in names)


def make_token(url: str, text: str, *, secret: str | None = None) -> str:
    """A new token whose only policy has these rules; returns what it is shown by."""
    secret = secret or str(uuid.uuid4())
    policy = call(url, "PUT", "/v1/acl/policy", {"Name": f"policy-{secret}", "Rules": text})
    call(url, "PUT", "/v1/acl/token", {"SecretID": secret, "Policies": [{"ID": policy["ID"]}]})
    return secret


def bootstrapped(consul: Consul) -> None:
    """Wait until the server's first token is known."""

    def known() -> bool:
        try:
            return bool(call(consul.url, "GET", "/v1/acl/token/self"))
        except urllib.error.HTTPError:
            return False

    wait_until(known, "the server knows its first token", 30)


class AclLab(Lab):
    """The local lab with ACLs on. Each agent has a token of its own; tokens for everything else come from make_token."""

    def __init__(self, root: Path, net: str) -> None:
        self._agent_tokens: dict[str, str] = {}
        # By the environment: this Prometheus is too old for prometheus_consul_token_file.
        self.prometheus_token = str(uuid.uuid4())
        environment = {"CONSUL_HTTP_TOKEN": self.prometheus_token}
        super().__init__(root, net, balancer="haproxy", consul_token=MANAGEMENT, prometheus_environment=environment)

    def consul_options_of(self, node: str) -> dict[str, Any]:
        return acl_options(self._agent_tokens.setdefault(node, str(uuid.uuid4())))

    def server_started(self) -> None:
        bootstrapped(self.server)
        for node, secret in self._agent_tokens.items():
            make_token(self.server.url, rules("agent").replace("NODE", node), secret=secret)
        make_token(self.server.url, rules("prometheus"), secret=self.prometheus_token)

    def token(self, *names: str) -> str:
        """A new token with some of the documented policies."""
        return make_token(self.server.url, rules(*names))


def without(text: str, block: str) -> str:
    """Rules without the block that begins with these words."""
    lines = iter(text.splitlines())
    kept: list[str] = []
    for line in lines:
        if line.startswith(block):
            while line != "}":
                line = next(lines)
            continue
        kept.append(line)
    return "\n".join(kept)
