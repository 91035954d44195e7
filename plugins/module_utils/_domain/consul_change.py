# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How a running Consul agent comes to know a changed configuration: by a reload, or only by a restart."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Mapping, NamedTuple

from .consul_agent import flat

# Before the path of a file whose content an agent reads.
FILE = "file "
SCHEMA = 1

# What an agent takes over by a reload (SIGHUP), from 1.8 on; everything else is known after a restart only. Of
# https://developer.hashicorp.com/consul/docs/agent/config, "Reloadable configuration"; the files are TLS certificates.
_RELOADABLE = (
    *("acl.tokens.agent", "acl.tokens.default", "acl.tokens.replication", "log_level", "node_meta", "discard_check_output"),
    *("check", "checks", "service", "services", "watches", "limits.rpc_rate", "limits.rpc_max_burst", "telemetry.prefix_filter"),
)
_SECRET = re.compile(r"encrypt|.*(token|secret|password|credential|private_key).*", re.IGNORECASE)
MASKED = "VALUE_HIDDEN"


class Application(NamedTuple):
    """What has to be done, and for which paths of the configuration, programs and files."""

    how: str
    why: tuple[str, ...]


def digests(config: Mapping[str, Any], further: Mapping[str, str]) -> dict[str, str]:
    """A digest of each value, so that what an agent was started with can be noted without its secrets.

    Args:
        further: what else it was started with, by name: its unit, its version, the content of files ("file /…").
    """
    return {name: _digest(value) for name, value in (*flat(config), *further.items())}


def record_text(found: Mapping[str, str]) -> str:
    """The note of what the running agent has."""
    return json.dumps({"schema": SCHEMA, "digests": dict(found)}, sort_keys=True, indent=1) + "\n"


def application(record: str | None, wanted: Mapping[str, str]) -> Application:
    """What brings a running agent from the noted state to the wanted one.

    Args:
        record: as record_text() wrote it; None, or one that cannot be read, asks for a restart.
        wanted: see digests().

    Returns:
        "none", "reload" or "restart", with the names of what differs and asks for it.
    """
    known = _read(record)
    if known is None:
        return Application("restart", ("it is not known with which configuration the agent runs",))
    changed = sorted(name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name))
    hard = tuple(name for name in changed if not _reloadable(name, known, wanted))
    if hard:
        return Application("restart", hard)
    return Application("reload" if changed else "none", tuple(changed))


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that may be shown."""
    return {name: _masked(name, value) for name, value in config.items()}


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        inside = _SECRET.fullmatch(name) is not None
        return {key: MASKED if inside and isinstance(item, str) else _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(name, item) for item in value]
    return MASKED if isinstance(value, str) and _SECRET.fullmatch(name) and not name.endswith(("_file", "_path")) else value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def _read(record: str | None) -> dict[str, str] | None:
    try:
        content = json.loads(record or "")
        return dict(content["digests"]) if content["schema"] == SCHEMA else None
    except (ValueError, KeyError, TypeError):
        return None


def _reloadable(name: str, known: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    if name.startswith(FILE):
        # TLS cannot be switched on or off by a reload.
        return name in known and name in wanted
    return any(name == one or name.startswith(f"{one}.") for one in _RELOADABLE)
