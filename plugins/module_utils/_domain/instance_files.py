# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The files that make up an instance on a host, as texts, and what of them may be shown."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
from typing import Any, Mapping

from .errors import AutoscaleError
from .instance import Instance, Paths, Run, Secret, need_run

_PLACEHOLDER = re.compile(r"\{(address|port|path|version|instance)\}")


@dataclasses.dataclass(frozen=True)
class Texts:
    """The files of an instance; `environment` holds secrets."""

    environment: str
    script: str
    program: str

    @property
    def digest(self) -> str:
        """Equal for equal files; it covers secrets, so it is kept in files of mode 0600 only."""
        return hashlib.sha256(json.dumps(dataclasses.astuple(self)).encode()).hexdigest()


def texts(instance: Instance, paths: Paths, secrets: Mapping[str, str]) -> Texts:
    """The three files that make up an instance; raises AutoscaleError for a missing secret or an unusable command."""
    run = need_run(instance)
    path = paths.version(instance)
    folder = paths.instance(instance.id)
    argv = command_line(run.command, instance, path)
    variables = environment(instance, path, secrets)
    return Texts(
        environment="".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())),
        script=_script(argv, path or folder, f"{folder}/environment"),
        program=_program(instance.id, run, folder),
    )


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
        "version": instance.version,
        "endpoint": instance.endpoint,
        "command": run.command,
        "user": run.user,
        "environment": {
            name: f"(secret {value.name})" if isinstance(value, Secret) else value for name, value in sorted(run.environment.items())
        },
        "artifact": f"sha256:{run.artifact.checksum}" if run.artifact else None,
    }


def _script(argv: tuple[str, ...], directory: str, environment_file: str) -> str:
    return (
        "#!/bin/sh\n"
        "# Written by microservices.autoscale; changes made here are lost.\n"
        "set -e\n"
        f"cd {shlex.quote(directory)}\n"
        "set -a\n"
        f". {shlex.quote(environment_file)}\n"
        "set +a\n"
        f"exec {' '.join(shlex.quote(word) for word in argv)}\n"
    )


def _program(identity: str, run: Run, folder: str) -> str:
    options: dict[str, Any] = {
        "command": f"{folder}/run",
        "autostart": "true",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 5,
        "stopsignal": "TERM",
        # supervisord counts whole seconds.
        "stopwaitsecs": max(1, int(-(-run.stop_grace // 1))),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"{folder}/output.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }
    if run.user is not None:
        options["user"] = run.user
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    return f"; Written by microservices.autoscale; changes made here are lost.\n[program:{identity}]\n{lines}"
