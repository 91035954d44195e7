# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A playbook on a schedule: what its systemd units and its cron job say."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any, Mapping

from .errors import InvalidDescription
from .reader import Reader
from .systemd_syntax import command_value, word

_HOUR, _DAY = 3600, 86400
# One line: a file of cron and a unit are read line by line.
_LINE = r"[^\x00-\x1f\x7f]+"
_ABSOLUTE = r"/[^\x00-\x1f\x7f]*"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What is run, when, and as whom.

    Args:
        name: of the units, the job and the entries in the log.
        interval, jitter, timeout: seconds between the starts of two runs, at most waited before one, and allowed for one.
        directory: in which it is run; the user's home when empty.
        logger: the program to which cron's runs are piped.
    """

    name: str
    user: str
    command: tuple[str, ...]
    interval: float
    jitter: float
    timeout: float
    environment: Mapping[str, str]
    directory: str
    logger: str


def read_schedule(variables: Mapping[str, Any]) -> Schedule:
    """Read the variables of the role, by their names.

    Raises:
        InvalidDescription: names every variable that is wrong, and what is allowed.
    """
    errors: list[str] = []
    absolute = "must be an absolute path"
    at = {name: Reader(value, name, errors) for name, value in variables.items()}
    interval = at["schedule_interval"].duration(at_least=1, at_most=_DAY)
    program = at["schedule_ansible_playbook"].text(pattern=_ABSOLUTE, hint=absolute)
    playbook = at["schedule_playbook"].text(pattern=rf"(?!-){_LINE}", hint="must be a playbook's name or path")
    paths = variables["schedule_inventory"]
    # As a list on a command line is written, and as Ansible's own checks read it.
    inventory = at["schedule_inventory"].replaced(paths.split(",")) if isinstance(paths, str) else at["schedule_inventory"]
    inventories = [item.text(pattern=_ABSOLUTE, hint=absolute) for item in inventory.items()]
    if not inventories:
        at["schedule_inventory"].refuse("must name at least one inventory")
    environment = {}
    for name, value in at["schedule_environment"].entries().items():
        if not _VARIABLE.fullmatch(name):
            value.replaced(name).refuse("must be named like a variable of the environment")
        environment[name] = value.replaced(str(value.value) if value.given else None).text(pattern=_LINE, hint="must be one line of text")
    schedule = Schedule(
        # systemd and cron both accept a file of this name; cron passes over those with a dot.
        name=at["schedule_name"].text(
            pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", hint="must be letters, digits, - and _, at most 63 of them"
        ),
        user=at["schedule_user"].text(pattern=r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", hint="must be a user's name"),
        command=(
            program,
            *(f"--inventory={path}" for path in inventories),
            f"--extra-vars=@{at['schedule_extra_vars_file'].text(pattern=_ABSOLUTE, hint=absolute)}",
            playbook,
        ),
        interval=interval,
        jitter=at["schedule_jitter"].duration(at_most=interval),
        timeout=at["schedule_timeout"].duration(at_least=10),
        environment=environment,
        # An empty one is the same as none.
        directory=at["schedule_directory"].replaced(variables["schedule_directory"] or None).text("", pattern=_ABSOLUTE, hint=absolute),
        logger=at["schedule_logger"].text(pattern=_LINE, hint="must be a program's name or path"),
    )
    at["schedule_name"].finish()
    return schedule


def systemd_entry(schedule: Schedule) -> dict[str, Any]:
    """The values of the settings in its units, quoted as systemd wants it.

    Raises:
        InvalidDescription: a unit cannot say it.
    """
    try:
        command = command_value("the command of the schedule", schedule.command)
        environment = [word(f"schedule_environment.{name}", f"{name}={value}") for name, value in sorted(schedule.environment.items())]
    except ValueError as error:
        raise InvalidDescription([str(error)]) from None
    return {
        "command": command,
        "environment": environment,
        "directory": schedule.directory.replace("%", "%%") or "~",
        "interval": f"{schedule.interval:g}s",
        "jitter": f"{schedule.jitter:g}s",
        "timeout": f"{schedule.timeout:g}s",
    }


def cron_entry(schedule: Schedule, lock: str) -> dict[str, str]:
    """The fields of its cron job.

    Args:
        lock: path of a file; as long as one run holds it, no other begins.

    Raises:
        InvalidDescription: cron cannot keep the interval.
    """
    # Not inherited by what a run leaves in the background, such as a connection that ssh keeps.
    run = ["flock", "--nonblock", "--close", lock]
    run += ["env", *(f"{name}={value}" for name, value in sorted(schedule.environment.items()))] if schedule.environment else []
    run += ["timeout", "--kill-after=30", f"{schedule.timeout:g}", *schedule.command]
    wait = f"sleep $(shuf --input-range=0-{schedule.jitter:.0f} --head-count=1); " if schedule.jitter >= 1 else ""
    where = f"cd {shlex.quote(schedule.directory)} && " if schedule.directory else ""
    job = f"{wait}{where}{shlex.join(run)} 2>&1 | {shlex.join([schedule.logger, '-t', schedule.name])}"
    # To cron an unescaped % is the end of the line.
    return {**_cron_fields(schedule.interval), "job": job.replace("%", r"\%")}


def _cron_fields(interval: float) -> dict[str, str]:
    minutes, odd = divmod(interval, 60)
    hours, rest = divmod(interval, _HOUR)
    if odd == 0 and _HOUR % interval == 0:
        return {"minute": "*" if minutes == 1 else "0" if minutes == 60 else f"*/{minutes:.0f}", "hour": "*"}
    if rest == 0 and _DAY % interval == 0:
        return {"minute": "0", "hour": "0" if hours == 24 else f"*/{hours:.0f}"}
    raise InvalidDescription(
        [
            "schedule_interval: cron knows whole minutes that divide an hour (1m, 5m, 15m …) and whole hours that divide a day (1h, 6h …), "
            f"got {interval:g} s; schedule_provider: systemd knows every other one"
        ]
    )
