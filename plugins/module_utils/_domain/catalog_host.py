# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Hosts for an inventory out of the catalog's nodes. What does not pass its allow-list is refused with a warning, never "cleaned"."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Iterable, Mapping, Sequence

from . import names
from .catalog import instance, worst_status
from .errors import AutoscaleError

# What may stand in a group's name; the inventory makes the rest of it safe.
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/=@+ -]{0,127}")
# Ansible means itself or its own groups by these: a node of such a name would be handed what is not for it.
_RESERVED = ("localhost", "127.0.0.1", "all", "ungrouped")
_SERVICE_KEYS = ("service", "id", "address", "port", "tags", "meta", "weight", "status", "passing", "maintenance", "maintenance_reason")


@dataclasses.dataclass(frozen=True)
class Node:
    """One node as read.

    Args:
        raw: the node itself.
        checks: of the node and of all its services.
        services: the services that were asked for.
    """

    raw: Mapping[str, Any]
    checks: Sequence[Mapping[str, Any]]
    services: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of an inventory.

    Args:
        name: the node's name, which is no pattern.
        variables: `address` and `node` have passed an allow-list, `services` by name, id, address and port; the rest is free text.
        services: names of its services, for groups.
        tags: of its services, for groups.
    """

    name: str
    variables: Mapping[str, Any]
    services: tuple[str, ...]
    tags: tuple[str, ...]


def host_of(node: Node, *, passing_only: bool) -> tuple[Host | None, tuple[str, ...]]:
    """The host of a node, and a warning for each part of it that was refused; None where the node itself is, or is not wanted.

    Args:
        passing_only: leave out a node of which a check does not pass, and services of which one does not.
    """
    try:
        name = names.host_name(node.raw.get("Node"))
        address = _address(node.raw.get("Address"))
        if name.lower() in _RESERVED:
            raise AutoscaleError(f"a host {name!r} has a meaning of its own for Ansible")
    except AutoscaleError as error:
        return None, (f"node {_short(node.raw.get('Node'))} was left out: {_short(error.message, '')}",)
    own = [check for check in node.checks if not check.get("ServiceID")]
    status = worst_status(own)
    if passing_only and status != "passing":
        return None, ()
    warnings: list[str] = []
    services = [each for each in _services(node, own, warnings) if each["passing"] or not passing_only]
    tagged = {}
    for key, value in (node.raw.get("TaggedAddresses") or {}).items():
        try:
            tagged[key] = _address(value)
        except AutoscaleError as error:
            warnings.append(f"tagged address {_short(key)} of {name} was left out: {_short(error.message, '')}")
    variables = {
        "node": name,
        "address": address,
        "datacenter": node.raw.get("Datacenter"),
        "status": status,
        "meta": dict(node.raw.get("Meta") or {}),
        "tagged_addresses": tagged,
        "services": services,
    }
    tags = _labels((tag for each in services for tag in each["tags"]), f"tag of {name}", warnings)
    return Host(name, variables, tuple(dict.fromkeys(each["service"] for each in services)), tags), tuple(warnings)


def _services(node: Node, own: list[Mapping[str, Any]], warnings: list[str]) -> list[dict[str, Any]]:
    services = []
    for raw in node.services:
        seen = instance(node.raw, raw, own + [check for check in node.checks if check.get("ServiceID") == raw.get("ID") != ""])
        try:
            names.catalog_service(seen["service"])
            names.instance_id(seen["id"])
            _address(seen["address"])
            # 0 is a service without a port.
            if seen["port"] != 0:
                names.port(seen["port"])
        except AutoscaleError as error:
            warnings.append(f"service {_short(seen['id'])} of {node.raw['Node']} was left out: {_short(error.message, '')}")
            continue
        services.append({key: seen[key] for key in _SERVICE_KEYS})
    return sorted(services, key=lambda each: (each["service"], each["id"]))


def _labels(texts: Iterable[str], what: str, warnings: list[str]) -> tuple[str, ...]:
    """Those that may become groups, each once."""
    labels = []
    for text in dict.fromkeys(texts):
        if isinstance(text, str) and _LABEL.fullmatch(text):
            labels.append(text)
        else:
            warnings.append(f"{what} makes no group: {_short(text)} is not allowed: must match {_LABEL.pattern}")
    return tuple(sorted(labels))


def _address(value: object) -> str:
    """An IP address or a host name: what a connection may be opened to. A leading hyphen would be an option of ssh's."""
    try:
        return names.ip_address(value)
    except AutoscaleError:
        pass
    if isinstance(value, str) and names.HOST_NAME.fullmatch(value):
        return value
    raise AutoscaleError(f"address {value!r} is not allowed: must be an IP address or a host name")


def _short(text: object, quote: str = "'") -> str:
    """For a warning: on one line, and no longer than people read."""
    shown = repr(text) if quote else str(text)
    return shown if len(shown) <= 160 else f"{shown[:120]} … ({len(shown)} characters)"
