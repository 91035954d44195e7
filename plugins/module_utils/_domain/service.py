# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service as frozen dataclasses.

The fields are the keys of a description's long form, so that to_description() and description.read_service() are each other's inverse.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from typing import Any, Mapping

from .balance import NO_LISTENER, Balance
from .policy import Policy
from .resources import Resources


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An archive; unpacked into a folder per version."""

    url: str
    checksum: str


@dataclasses.dataclass(frozen=True)
class Run:
    """How an instance is run.

    Args:
        environment: text, or {"secret": NAME} for a key of autoscale_secrets that is looked up at start.
        pre_start: a command that runs once before a version's first instance starts on a host.
        stop_grace: seconds from the stop signal to the kill.
    """

    provider: str
    command: str
    artifact: Artifact | None = None
    user: str | None = None
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pre_start: str | None = None
    resources: Resources = Resources()
    stop_grace: float = 30.0


@dataclasses.dataclass(frozen=True)
class Check:
    """The health check; all times in seconds.

    Args:
        http: path that must answer with a 2xx; without it a TCP connect is tried.
        grace: how long an instance may be critical before it is replaced.
    """

    http: str | None = None
    tcp: bool = False
    interval: float = 10.0
    timeout: float = 5.0
    grace: float = 60.0


@dataclasses.dataclass(frozen=True)
class Deploy:
    """How a changed service is brought out; times in seconds."""

    strategy: str = "rolling"
    max_surge: int = 1
    max_unavailable: int = 0
    min_healthy_time: float = 0.0
    healthy_deadline: float = 300.0
    auto_revert: bool = False


@dataclasses.dataclass(frozen=True)
class PortRange:
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Service:
    """A whole description."""

    name: str
    version: str
    run: Run
    hosts: str
    port_range: PortRange
    scale: Policy
    check: Check = Check()
    balance: Balance | None = None
    deploy: Deploy = Deploy()
    tags: tuple[str, ...] = ()

    def to_description(self) -> dict[str, Any]:
        """The long form, JSON-ready; the name is the key under which it stands."""
        description = dataclasses.asdict(self)
        del description["name"]
        if self.balance is not None and self.balance.listen is None:
            description["balance"]["listen"] = NO_LISTENER
        return description

    @functools.cached_property
    def digest(self) -> str:
        """Identifies what an instance is made of: instances with another digest are outdated."""
        run = dataclasses.asdict(self.run)
        if self.run.resources.memory is None:
            # As before the key was there: instances of services without it do not become outdated.
            del run["resources"]["memory"]
        return digest_of({"version": self.version, "run": run, "check": _without(self.check, "grace"), "tags": self.tags})


def digest_of(value: Any) -> str:
    """A short digest of JSON-ready data, equal for equal content."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """JSON with one spelling for equal content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without(value: Any, *keys: str) -> dict[str, Any]:
    return {key: item for key, item in dataclasses.asdict(value).items() if key not in keys}
