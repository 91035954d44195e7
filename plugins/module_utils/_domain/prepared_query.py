# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A prepared query as declared and as Consul has it, and what differs between the two."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping

from . import names
from .catalog_query import place
from .check_fields import clean_text, duration
from .errors import AutoscaleError

# What Consul shows in place of a token to those who may not see it.
_HIDDEN = "<hidden>"
# The beginning of all names that a template answers for; empty answers for every name.
_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,127})?")
_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_NEAREST = 1000


@dataclasses.dataclass(frozen=True)
class PreparedQuery:
    """A prepared query; every field has passed its allow-list when made by from_options. What was not declared is empty.

    Args:
        regexp: of a template, None for a query of one name.
        dns_ttl: as Consul writes it, such as "10s".
        token: runs the query in place of the caller's own; None was not declared.
    """

    name: str
    service: str
    tags: tuple[str, ...] = ()
    node_meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    service_meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    only_passing: bool = False
    ignore_checks: tuple[str, ...] = ()
    near: str = ""
    nearest: int = 0
    datacenters: tuple[str, ...] = ()
    dns_ttl: str = ""
    regexp: str | None = None
    remove_empty_tags: bool = False
    token: str | None = None

    @classmethod
    def from_options(cls, raw: Mapping[str, Any]) -> PreparedQuery:
        """From the options of the module consul_prepared_query; None means not given. Raises AutoscaleError naming the option."""
        template, failover = raw["template"], raw["failover"] or {}
        near = raw["near"] or ""
        if not 0 <= (failover.get("nearest") or 0) <= _MAX_NEAREST:
            raise AutoscaleError(f"failover.nearest: must be from 0 to {_MAX_NEAREST}, got {failover['nearest']}")
        return cls(
            name=names.prepared_query(raw["name"]) if template is None else template_name(raw["name"]),
            # In a template the service is text with ${match(1)} and the like in it.
            service=names.catalog_service(raw["service"]) if template is None else clean_text("service", raw["service"], 200),
            tags=tuple(clean_text("tags:", tag) for tag in raw["tags"] or ()),
            node_meta=_meta("node_meta", raw["node_meta"] or {}),
            service_meta=_meta("service_meta", raw["service_meta"] or {}),
            only_passing=bool(raw["only_passing"]),
            ignore_checks=tuple(clean_text("ignore_checks:", check) for check in raw["ignore_checks"] or ()),
            near=near if near in ("", "_agent", "_ip") else names.host_name(near),
            nearest=failover.get("nearest") or 0,
            datacenters=tuple(str(place("failover.datacenters", name)) for name in failover.get("datacenters") or ()),
            dns_ttl=duration(raw["dns_ttl"]) if raw["dns_ttl"] else "",
            regexp=None if template is None else clean_text("template.regexp", template.get("regexp") or "", 1000),
            remove_empty_tags=bool(template and template.get("remove_empty_tags")),
            token=raw["token"] or None,
        )

    @classmethod
    def from_consul(cls, raw: Mapping[str, Any]) -> PreparedQuery:
        """As Consul shows it; nothing is checked."""
        service, template = raw["Service"], raw.get("Template") or {}
        failover = service.get("Failover") or {}
        return cls(
            name=raw.get("Name") or "",
            service=service.get("Service") or "",
            tags=tuple(service.get("Tags") or ()),
            node_meta=dict(service.get("NodeMeta") or {}),
            service_meta=dict(service.get("ServiceMeta") or {}),
            only_passing=bool(service.get("OnlyPassing")),
            ignore_checks=tuple(service.get("IgnoreCheckIDs") or ()),
            near=service.get("Near") or "",
            nearest=failover.get("NearestN") or 0,
            datacenters=tuple(failover.get("Datacenters") or ()),
            dns_ttl=(raw.get("DNS") or {}).get("TTL") or "",
            regexp=(template.get("Regexp") or "") if template.get("Type") else None,
            remove_empty_tags=bool(template.get("RemoveEmptyTags")),
            token=raw.get("Token") or None,
        )

    def definition(self) -> dict[str, Any]:
        """The body of a call; fields that were not declared are not in it."""
        failover = {"NearestN": self.nearest, "Datacenters": list(self.datacenters)}
        service = {
            "Service": self.service,
            "Tags": list(self.tags),
            "NodeMeta": dict(self.node_meta),
            "ServiceMeta": dict(self.service_meta),
            "OnlyPassing": self.only_passing,
            "IgnoreCheckIDs": list(self.ignore_checks),
            "Near": self.near,
            "Failover": {key: value for key, value in failover.items() if value},
        }
        whole: dict[str, Any] = {
            "Name": self.name,
            "Service": {key: value for key, value in service.items() if value},
            "DNS": {"TTL": self.dns_ttl} if self.dns_ttl else None,
            "Token": self.token,
        }
        body = {key: value for key, value in whole.items() if value}
        if self.regexp is not None:
            emptied = {"RemoveEmptyTags": True} if self.remove_empty_tags else {}
            body["Template"] = {"Type": "name_prefix_match", "Regexp": self.regexp, **emptied}
        return body

    def view(self) -> dict[str, Any]:
        """For a diff; whether there is a token, never which."""
        return {**self._compared(), "token": "***" if self.token else None}

    def same_as(self, other: PreparedQuery) -> bool:
        return self._compared() == other._compared() and (self.token == other.token or _HIDDEN in (self.token, other.token))

    @property
    def token_hidden(self) -> bool:
        """Whether Consul did not show the token, so that it cannot be compared."""
        return self.token == _HIDDEN

    def _compared(self) -> dict[str, Any]:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "token"}
        # The order of these has no meaning; that of datacenters is the order of failing over.
        fields.update({key: sorted(fields[key]) for key in ("tags", "ignore_checks")}, datacenters=list(self.datacenters))
        return fields


def template_name(name: object) -> str:
    """The beginning of the names for which a template answers unchanged, or raise AutoscaleError; any query's name is one too."""
    if not isinstance(name, str) or not _PREFIX.fullmatch(name):
        raise AutoscaleError(f"name {name!r} is not allowed: must match {_PREFIX.pattern}")
    return name


def _meta(option: str, raw: Mapping[str, Any]) -> dict[str, str]:
    meta = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not _META_KEY.fullmatch(key):
            raise AutoscaleError(f"{option}: the key {key!r} is not allowed: must match {_META_KEY.pattern}")
        # YAML turns 8080 and true into other types without being asked; Consul takes text only.
        meta[key] = clean_text(f"{option}.{key}", str(value).lower() if isinstance(value, bool) else str(value))
    return meta
