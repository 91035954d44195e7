# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role schedule on this machine, in folders of the test's: what it writes, and the job of cron carried out by a shell as cron does.

Units are started on the hosts lab (hosts/test_schedule.py), where there is a systemd.
"""

from __future__ import annotations

import configparser
import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from processes import find_program, wait_until

Play = Callable[..., Any]

USER = pwd.getpwuid(os.geteuid()).pw_name
# Without a running systemd: everything but the start of the timer.
UNITS = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: microservices.autoscale.schedule, tasks_from: entry, rolespec_validate: false}
    - ansible.builtin.include_role: {name: microservices.autoscale.schedule, tasks_from: units, rolespec_validate: false}
"""
LOCAL = "localhost,"


@pytest.fixture
def play(lab: Lab, run_playbook: Any, tmp_path: Path) -> Play:
    """play("schedule", "--check", schedule_interval="1m"): with the test's folders, for the lab's inventory and collection."""
    for name in ("units", "cron.d", "etc"):
        (tmp_path / name).mkdir()

    def call(playbook: str | Path, *arguments: str, **variables: Any) -> Any:
        given = {
            "ansible_python_interpreter": sys.executable,
            "schedule_unit_dir": str(tmp_path / "units"),
            "schedule_cron_dir": str(tmp_path / "cron.d"),
            "schedule_config_dir": str(tmp_path / "etc"),
            "schedule_inventory": lab.environment["ANSIBLE_INVENTORY"],
            "schedule_provider": "cron",
            "schedule_environment": {name: value for name, value in lab.environment.items() if name != "ANSIBLE_INVENTORY"},
            "schedule_logger": str(logger(tmp_path)),
            "schedule_extra_vars": {"autoscale_textfile": str(tmp_path / "50% off.prom")},
            **variables,
        }
        return run_playbook(playbook, "-i", LOCAL, "-c", "local", *arguments, lab=lab, extra_vars=given)

    return call


def logger(folder: Path) -> Path:
    """A program that writes what logger would send to the log, and how it was called, to a file."""
    program = folder / "logger"
    program.write_text(f'#!/bin/sh\necho "$@" >>{folder}/log\nexec cat >>{folder}/log\n')
    program.chmod(0o755)
    return program


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for name in ("units", "cron.d", "etc") for path in (folder / name).rglob("*"))


# cron


def job(folder: Path) -> str:
    """The command of the job, as cron gives it to the shell."""
    name, line = (folder / "cron.d" / "autoscale-reconcile").read_text().splitlines()
    assert name == "#Ansible: autoscale-reconcile"
    fields = re.fullmatch(rf"(\S+) (\S+) \* \* \* {re.escape(USER)} (.+)", line)
    assert fields, line
    assert (fields.group(1), fields.group(2)) == ("*/5", "*")
    assert not re.search(r"(?<!\\)%", fields.group(3)), "to cron this is the end of the command"
    return fields.group(3).replace(r"\%", "%")


def start(command: str, folder: Path) -> subprocess.Popen[bytes]:
    """As cron does: sh, in the user's home, nearly without an environment."""
    environment = {"HOME": str(folder), "LOGNAME": USER, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    return subprocess.Popen(["/bin/sh", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL)


def test_a_job_is_installed_once_changed_and_removed(play: Play, tmp_path: Path) -> None:
    shown = play("schedule", "--check", "--diff", schedule_interval="5m").succeeded()
    assert shown.changed > 0
    assert files(tmp_path) == []
    play("schedule", schedule_interval="5m").succeeded()
    assert files(tmp_path) == ["cron.d/autoscale-reconcile", "etc/autoscale-reconcile.json", "etc/autoscale-reconcile.lock"]
    assert json.loads((tmp_path / "etc/autoscale-reconcile.json").read_text()) == {"autoscale_textfile": f"{tmp_path}/50% off.prom"}
    assert (tmp_path / "etc/autoscale-reconcile.json").stat().st_mode & 0o777 == 0o600
    assert play("schedule", schedule_interval="5m").succeeded().changed == 0
    lock = (tmp_path / "etc/autoscale-reconcile.lock").stat().st_ino
    assert play("schedule", schedule_interval="1h", schedule_extra_vars={"a": 1}).succeeded().changed == 2
    assert "\n0 * * * * " in (tmp_path / "cron.d/autoscale-reconcile").read_text()
    assert (tmp_path / "etc/autoscale-reconcile.lock").stat().st_ino == lock, "who holds it keeps others out"
    before = files(tmp_path)
    assert play("schedule", "--check", schedule_state="absent").succeeded().changed > 0
    assert files(tmp_path) == before
    play("schedule", schedule_state="absent").succeeded()
    assert files(tmp_path) == []
    assert play("schedule", schedule_state="absent").succeeded().changed == 0


def test_the_job_runs_reconcile_and_its_output_reaches_the_logger(play: Play, tmp_path: Path) -> None:
    play("schedule", schedule_interval="5m", schedule_jitter="1s").succeeded()
    assert start(job(tmp_path), tmp_path).wait(60) == 0
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert first == "-t autoscale-reconcile"
    assert any("TASK [microservices.autoscale.fleet : Observe, decide and plan]" in line for line in rest), rest
    assert any(re.search(r"failed=0 ", line) for line in rest), rest
    # The extra variables were given, and reconcile has come to its end.
    assert "autoscale_reconcile_problems 0\n" in (tmp_path / "50% off.prom").read_text()


def test_two_runs_do_not_overlap(play: Play, tmp_path: Path) -> None:
    play("schedule", schedule_interval="5m").succeeded()
    command, file = job(tmp_path), tmp_path / "50% off.prom"
    with (tmp_path / "etc/autoscale-reconcile.lock").open() as lock:
        running = start(command, tmp_path)
        wait_until(lambda: is_held(lock), "the first run holds the lock")
        assert start(command, tmp_path).wait(10) == 0
        assert not file.exists(), "the second one has ended before the first one has come to its end"
        assert is_held(lock)
        assert running.wait(60) == 0
        assert not is_held(lock)
    assert (tmp_path / "log").read_text().count("PLAY [Decide]") == 1


def is_held(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def test_a_run_that_takes_too_long_is_ended(play: Play, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
    stuck.chmod(0o755)
    play("schedule", schedule_interval="5m", schedule_timeout="10s", schedule_ansible_playbook=str(stuck)).succeeded()
    # Ten seconds are the least that the role accepts.
    command = job(tmp_path).replace("timeout --kill-after=30 10 ", "timeout --kill-after=30 0.2 ")
    assert start(command, tmp_path).wait(20) == 0
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"schedule_interval": "15s"}, "schedule_interval: cron knows whole minutes that divide an hour"),
        ({"schedule_interval": "soon"}, "schedule_interval: must be a duration such as 30, 10s or 5m"),
        ({"schedule_inventory": ["inventory"]}, "schedule_inventory[0]: must be an absolute path"),
        ({"schedule_name": "a.b"}, "schedule_name: must be letters, digits"),
        ({"schedule_provider": "anacron"}, "value of schedule_provider must be one of: systemd, cron"),
        ({"schedule_state": "gone"}, "value of schedule_state must be one of: present, absent"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_touched(play: Play, tmp_path: Path, variables: dict[str, Any], words: str) -> None:
    run = play("schedule", **variables)
    assert run.code != 0
    assert words in " ".join(run.output.split())
    assert files(tmp_path) == []


# systemd


@pytest.fixture
def units(tmp_path: Path) -> Path:
    playbook = tmp_path / "units.yml"
    playbook.write_text(UNITS)
    return playbook


def settings(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


def test_units_are_written_once_and_shown_in_check_mode(play: Play, units: Path, tmp_path: Path) -> None:
    given = {"schedule_provider": "systemd", "schedule_interval": "15s", "schedule_jitter": "2s", "schedule_timeout": "10m"}
    shown = play(units, "--check", "--diff", **given).succeeded()
    assert shown.changed == 2
    assert "+OnUnitActiveSec=15s" in shown.output
    assert files(tmp_path) == []
    play(units, **given).succeeded()
    assert files(tmp_path) == ["units/autoscale-reconcile.service", "units/autoscale-reconcile.timer"]
    timer = settings(tmp_path / "units/autoscale-reconcile.timer")["Timer"]
    assert dict(timer) == {"OnActiveSec": "1s", "OnUnitActiveSec": "15s", "RandomizedDelaySec": "2s", "AccuracySec": "1s"}
    service = settings(tmp_path / "units/autoscale-reconcile.service")["Service"]
    assert (service["Type"], service["User"], service["TimeoutStartSec"]) == ("oneshot", USER, "600s")
    assert (service["SyslogIdentifier"], service["WorkingDirectory"]) == ("autoscale-reconcile", "~")
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program.removeprefix(":")).resolve() == Path(find_program("ansible-playbook")).resolve(), "the one that runs now"
    assert f"--extra-vars=@{tmp_path}/etc/autoscale-reconcile.json" in arguments
    assert service["NoNewPrivileges"] == "yes"
    assert play(units, **given).succeeded().changed == 0
    play(units, **given, schedule_hardening="false").succeeded()
    assert "NoNewPrivileges" not in settings(tmp_path / "units/autoscale-reconcile.service")["Service"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, of Debian's package systemd; the hosts lab has it")
def test_units_that_systemd_would_refuse_are_not_written(play: Play, units: Path, tmp_path: Path) -> None:
    run = play(units, schedule_provider="systemd", schedule_ansible_playbook="/nowhere/ansible-playbook")
    assert run.code != 0
    assert "/nowhere/ansible-playbook is not executable" in run.output
    assert files(tmp_path) == []
