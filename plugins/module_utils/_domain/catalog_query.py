# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What is asked of the catalog: which instances, from where, and how fresh."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping

from . import names
from .check_fields import clean_text
from .consul_version import Version
from .errors import AutoscaleError
from .selection import Selection, read_selection

CONSISTENCIES = ("default", "stale", "consistent")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Servers before these versions ignore the parameter and answer with their own data. Later ones refuse what they do not have.
_KNOWN_SINCE: Mapping[str, Version] = {"partition": (1, 11, 0), "peer": (1, 13, 0)}


@dataclasses.dataclass(frozen=True)
class CatalogQuery:
    """How to read instances; every field has passed its allow-list when made by from_options.

    Args:
        tags: an instance has all of them; compared without regard to case, as Consul does.
        near: node by whose distance the answer is sorted, "_agent" for the agent's own.
        datacenter: None is the agent's own.
        consistency: one of CONSISTENCIES.
        cached: the agent may answer from its own cache.
    """

    tags: tuple[str, ...] = ()
    selection: Selection | None = None
    near: str | None = None
    datacenter: str | None = None
    consistency: str = "default"
    cached: bool = False
    namespace: str | None = None
    partition: str | None = None
    peer: str | None = None

    @classmethod
    def from_options(cls, raw: Mapping[str, Any]) -> CatalogQuery:
        """From the options of the spec CATALOG; None means not given. Raises AutoscaleError naming the option."""
        if raw["cached"] and raw["consistency"] == "consistent":
            raise AutoscaleError("cached: an answer from the agent's cache is never consistent; choose one of the two")
        near = raw["near"]
        try:
            near = near if near in (None, "_agent") else names.host_name(near)
        except AutoscaleError as error:
            raise AutoscaleError(f"near: must be _agent or the name of a node: {error.message}") from None
        return cls(
            tags=tuple(clean_text("tags:", tag) for tag in raw["tags"] or ()),
            selection=read_selection(raw["filter"], "filter") if raw["filter"] else None,
            near=near,
            consistency=raw["consistency"],
            cached=bool(raw["cached"]),
            **{key: place(key, raw[key]) for key in ("datacenter", "namespace", "partition", "peer")},
        )

    def gates(self) -> dict[str, Version]:
        """The options in use that older servers ignore, with the first version that does not."""
        return {option: since for option, since in _KNOWN_SINCE.items() if getattr(self, option) is not None}

    def params(self, *, with_filter: bool = True) -> dict[str, Any]:
        """The parameters of /v1/health/service; what was not asked for is not sent."""
        params: dict[str, Any] = {"tag": list(self.tags)} if self.tags else {}
        if with_filter and self.selection is not None and self.selection.for_servers:
            params["filter"] = self.selection.text
        return {**params, **self.place_params()}

    def place_params(self) -> dict[str, Any]:
        """The parameters that hold for every endpoint: where and how fresh."""
        params = {"near": self.near, "dc": self.datacenter, "ns": self.namespace, "partition": self.partition, "peer": self.peer}
        modes = ([] if self.consistency == "default" else [self.consistency]) + (["cached"] if self.cached else [])
        return {**{key: value for key, value in params.items() if value is not None}, **dict.fromkeys(modes, "")}

    def keeps(self, entry: Mapping[str, Any]) -> bool:
        """Whether {Node, Service, Checks} is wanted, whatever the server did with the parameters."""
        has = {str(tag).casefold() for tag in entry["Service"].get("Tags") or ()}
        return all(tag.casefold() in has for tag in self.tags) and (self.selection is None or self.selection.matches(entry))


def place(option: str, value: str | None) -> str | None:
    """The name of a datacenter, namespace, partition or peer unchanged, or raise AutoscaleError naming the option."""
    if value is not None and not _NAME.fullmatch(value):
        raise AutoscaleError(f"{option}: {value!r} is not allowed: must match {_NAME.pattern}")
    return value
