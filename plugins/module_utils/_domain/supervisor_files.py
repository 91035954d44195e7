# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The files of an instance under the provider supervisor: environment, script and program."""

from __future__ import annotations

import shlex
from typing import Any, Mapping

from .instance import Instance, Paths, Run, need_run
from .instance_files import File, command_line, environment


def program_path(conf_dir: str, identity: str) -> str:
    """supervisord's file of an instance."""
    return f"{conf_dir}/{identity}.ini"


def log_path(paths: Paths, identity: str) -> str:
    """Where supervisord writes what an instance prints."""
    return f"{paths.instance(identity)}/output.log"


def supervisor_files(instance: Instance, paths: Paths, conf_dir: str, secrets: Mapping[str, str]) -> tuple[File, ...]:
    """The three files that make up an instance; raises AutoscaleError for a missing secret or an unusable command."""
    run = need_run(instance)
    path = paths.version(instance)
    folder = paths.instance(instance.id)
    variables = environment(instance, path, secrets)
    shell = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    script = _script(command_line(run.command, instance, path), path or folder, paths.environment(instance.id))
    return (
        File(paths.environment(instance.id), shell, 0o600, private=True),
        File(f"{folder}/run", script, 0o700, private=True),
        File(program_path(conf_dir, instance.id), _program(instance.id, run, folder, log_path(paths, instance.id)), 0o644),
    )


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


def _program(identity: str, run: Run, folder: str, log: str) -> str:
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
        "stdout_logfile": log,
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }
    if run.user is not None:
        options["user"] = run.user
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    return f"; Written by microservices.autoscale; changes made here are lost.\n[program:{identity}]\n{lines}"
