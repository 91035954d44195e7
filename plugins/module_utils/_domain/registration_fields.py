# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The fields of a service instance, each with its allow-list and Consul's own limits."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from . import names
from .check_fields import clean_text
from .errors import AutoscaleError

# An agent adds these to the tagged addresses by itself, from the instance's own address.
ADDED_BY_THE_AGENT = frozenset(("lan_ipv4", "wan_ipv4", "lan_ipv6", "wan_ipv6"))
# {"Address": …, "Port": …}
Tagged = Mapping[str, Any]

_MAX_META = 64
_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_META_VALUE = 512
_MAX_WEIGHT = 65535
_TAGGED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_tags(raw: Iterable[object]) -> tuple[str, ...]:
    """Tags without doubles; raises AutoscaleError."""
    return tuple(dict.fromkeys(clean_text("tag", tag) for tag in raw))


def read_meta(raw: Mapping[str, Any], ours: str) -> dict[str, str]:
    """Meta with its values as text; raises AutoscaleError.

    Args:
        ours: a key that is kept for ourselves.
    """
    if len(raw) >= _MAX_META:
        raise AutoscaleError(f"meta: {len(raw)} entries are too many, at most {_MAX_META - 1} are allowed beside our own")
    meta = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not _META_KEY.fullmatch(key) or key == ours:
            raise AutoscaleError(f"meta key {key!r} is not allowed: must match {_META_KEY.pattern} and not be {ours}")
        # Consul answers 400 to anything but text; YAML turns 8080 and true into other types without being asked.
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, (int, float)):
            value = str(value)
        meta[key] = clean_text(f"meta {key}", value, _MAX_META_VALUE)
    return meta


def read_weight(what: str, value: object) -> int:
    """A weight, 1 where none is given; raises AutoscaleError."""
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_WEIGHT:
        raise AutoscaleError(f"{what} {value!r} is not allowed: must be a whole number from 0 to {_MAX_WEIGHT}")
    return value


def read_tagged_addresses(raw: Mapping[str, Any], port: int) -> dict[str, Tagged]:
    """Further addresses by name, as Consul writes them; raises AutoscaleError.

    Args:
        raw: {"address", "port"} by name.
        port: of the instance, for those that name none; 0 when it has none.
    """
    read: dict[str, Tagged] = {}
    for name, tagged in raw.items():
        if not isinstance(name, str) or not _TAGGED_NAME.fullmatch(name):
            raise AutoscaleError(f"tagged address {name!r} is not allowed: its name must match {_TAGGED_NAME.pattern}")
        if not isinstance(tagged, dict) or not {"address"} <= tagged.keys() <= {"address", "port"}:
            raise AutoscaleError(f"tagged address {name}: must be a mapping of address and, if it differs, port")
        try:
            own = tagged.get("port")
            read[name] = {"Address": names.ip_address(tagged["address"]), "Port": port if own is None else names.port(own)}
        except AutoscaleError as error:
            raise AutoscaleError(f"tagged address {name}: {error.message}") from None
    return read
