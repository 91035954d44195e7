# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The files of an instance under the provider systemd: one template for all instances of a host, a drop-in and an environment for each.

What systemd.exec(5) says of environment files holds from systemd 247 on.
"""

from __future__ import annotations

import hashlib
from typing import Mapping, Sequence

from .errors import AutoscaleError
from .instance import Instance, Paths, need_run
from .instance_files import File, command_line, environment
from .systemd_syntax import command_value, is_control, require_text

PREFIX = "microservices-autoscale@"
# Each of them has a meaning of its own before a program, in quotes too.
_MARKS = "@-:+!|"
_LONGEST_USER = 31

# What is hardened here must not break ordinary services: memory that is written and executed is how just-in-time compilers work.
TEMPLATE = f"""\
# Written by microservices.autoscale; changes made here are lost.
# To change it for all instances of this host, put *.conf files into {PREFIX}.service.d beside it.
[Unit]
Description=Instance %i of microservices.autoscale
Wants=network-online.target
After=network-online.target
# A program that ends again and again is given up, and then replaced.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
Restart=always
RestartSec=1
KillMode=mixed
SyslogIdentifier=%i
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateDevices=yes
PrivateTmp=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def unit_name(identity: str) -> str:
    """The unit of an instance; ids need no escaping in it, and %i gives them back as they are."""
    return f"{PREFIX}{identity}.service"


def template_file(unit_dir: str) -> File:
    """The unit that all instances of a host are made from."""
    return File(f"{unit_dir}/{unit_name('')}", TEMPLATE, 0o644)


def drop_in_folder(unit_dir: str, identity: str) -> str:
    """The folder of what is special to an instance's unit."""
    return f"{unit_dir}/{unit_name(identity)}.d"


def systemd_files(instance: Instance, paths: Paths, unit_dir: str, secrets: Mapping[str, str]) -> tuple[File, ...]:
    """The two files that make up an instance; raises AutoscaleError for a missing secret or a command that a unit cannot hold."""
    try:
        variables = environment_file(environment(instance, paths.version(instance), secrets))
        unit = _drop_in(instance, paths)
    except ValueError as error:
        raise AutoscaleError(f"instance {instance.id}: {error}") from None
    return (
        # systemd itself reads it, before it becomes the instance's user.
        File(paths.environment(instance.id), variables, 0o600),
        File(f"{drop_in_folder(unit_dir, instance.id)}/instance.conf", unit, 0o644),
    )


def exec_start(argv: Sequence[str]) -> str:
    """The value of ExecStart= that runs exactly these words.

    Raises:
        ValueError: a unit cannot say it.
    """
    program = argv[0]
    if not program or program[0] in _MARKS or ("/" in program and program[0] != "/") or any(is_control(one) for one in program):
        raise ValueError(
            f"run.command: the program {program!r} is not allowed with provider systemd: must be an absolute path, a path below {{path}} "
            f"or the name of an installed program, without control characters and not beginning with one of {_MARKS}"
        )
    return command_value("run.command", argv)


def environment_file(variables: Mapping[str, str]) -> str:
    """The text that EnvironmentFile= reads as exactly these variables; raises ValueError for one that it cannot hold."""
    return "".join(f'{name}="{_environment_value(name, value)}"\n' for name, value in sorted(variables.items()))


def made_up_user(service: str) -> str:
    """The user whom systemd makes up for a service that names none; without a name of its own all services would share one."""
    name = f"autoscale-{service}"
    if len(name) <= _LONGEST_USER:
        return name
    return f"{name[: _LONGEST_USER - 9]}-{hashlib.sha256(service.encode()).hexdigest()[:8]}"


def _drop_in(instance: Instance, paths: Paths) -> str:
    run = need_run(instance)
    path = paths.version(instance)
    argv = list(command_line(run.command, instance, path))
    if path is not None and "/" in argv[0] and argv[0][0] != "/":
        # As a shell would in the working directory.
        argv[0] = f"{path}/{argv[0]}"
    lines = [
        f"ExecStart={exec_start(argv)}",
        f"WorkingDirectory={path or '/'}",
        f"EnvironmentFile={paths.environment(instance.id)}",
        f"User={run.user or made_up_user(instance.service)}",
    ]
    if run.user is None:
        lines.append("DynamicUser=yes")
    if instance.port < 1024:
        lines += ["CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"]
    # 0 would be without end.
    lines.append(f"TimeoutStopSec={max(1, round(run.stop_grace * 1000))}ms")
    if run.resources.memory is not None:
        lines.append(f"MemoryMax={run.resources.memory}")
    if run.resources.cpu is not None:
        lines.append(f"CPUWeight={max(1, min(10000, round(100 * run.resources.cpu)))}")
    return "# Written by microservices.autoscale; changes made here are lost.\n[Service]\n" + "".join(f"{line}\n" for line in lines)


def _environment_value(name: str, value: str) -> str:
    require_text(f"run.environment.{name}", value)
    return "".join(f"\\{one}" if one in '"\\`$' else one for one in value)
