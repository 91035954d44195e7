# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What the files of an instance have in common under every provider, and what of them may be shown."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
from typing import Any, Mapping, Sequence

from .errors import AutoscaleError
from .instance import Instance, Secret, need_run

_PLACEHOLDER = re.compile(r"\{(address|port|path|version|instance)\}")


@dataclasses.dataclass(frozen=True)
class File:
    """A file that makes up an instance.

    Args:
        text: may hold secrets.
        private: it belongs to the user that the instance runs as.
    """

    path: str
    text: str
    mode: int
    private: bool = False


def digest_of_files(files: Sequence[File]) -> str:
    """Equal for equal texts; it covers secrets, so it is kept in files of mode 0600 only."""
    return hashlib.sha256(json.dumps([file.text for file in files]).encode()).hexdigest()


def fill(text: str, instance: Instance, path: str | None) -> str:
    """Replace the placeholders {address} {port} {path} {version} {instance}; other braces stay as they are."""
    values = {
        "address": instance.address,
        "port": str(instance.port),
        "path": path,
        "version": instance.version,
        "instance": instance.id,
    }

    def value(match: re.Match[str]) -> str:
        found = values[match.group(1)]
        if found is None:
            raise AutoscaleError(f"instance {instance.id}: {text!r} uses {match.group(0)}, which needs run.artifact")
        return found

    return _PLACEHOLDER.sub(value, text)


def command_line(text: str, instance: Instance, path: str | None) -> tuple[str, ...]:
    """Split a command into its words, then fill in the placeholders, so that a value never becomes two words."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise AutoscaleError(f"instance {instance.id}: the command {text!r} cannot be split into words: {error}") from None
    if not words:
        raise AutoscaleError(f"instance {instance.id}: the command is empty")
    return tuple(fill(word, instance, path) for word in words)


def environment(instance: Instance, path: str | None, secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment with placeholders and secrets resolved; raises AutoscaleError naming each missing secret."""
    result: dict[str, str] = {}
    missing = []
    for name, value in need_run(instance).environment.items():
        if not isinstance(value, Secret):
            result[name] = fill(value, instance, path)
        elif secrets.get(value.name) is None:
            missing.append(f"{name} needs the secret {value.name!r}")
        else:
            result[name] = str(secrets[value.name])
    if missing:
        raise AutoscaleError(
            f"instance {instance.id}: {', '.join(missing)}; autoscale_secrets has no such key "
            f"(it has: {', '.join(sorted(secrets)) or 'none'}). Nothing was started"
        )
    wrong = sorted(name for name, value in result.items() if "\0" in value)
    if wrong:
        raise AutoscaleError(f"instance {instance.id}: the environment variables {', '.join(wrong)} contain a NUL character")
    return result


def display(instance: Instance) -> dict[str, Any]:
    """What a diff may show: secrets by their names only."""
    run = need_run(instance)
    return {
        "provider": run.provider,
        "version": instance.version,
        "endpoint": instance.endpoint,
        "command": run.command,
        "user": run.user,
        "environment": {
            name: f"(secret {value.name})" if isinstance(value, Secret) else value for name, value in sorted(run.environment.items())
        },
        "artifact": f"sha256:{run.artifact.checksum}" if run.artifact else None,
        "resources": dataclasses.asdict(run.resources),
    }
