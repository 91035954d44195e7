# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role schedule where there is a systemd and a cron: what is started when, by whom, and what is left when it is removed.

What is run is a program that tells how and when it was called, since no controller is installed on the lab's hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from processes import wait_until

Play = Callable[..., Any]

HOST = "app2"
NAME = "autoscale-reconcile"
PROBE = "/usr/local/bin/schedule-probe"
# Takes two seconds; says whether it may write to /etc and become root.
PROGRAM = """\
#!/bin/sh
printf '%s\\n' "start $(date +%s.%N) $(id -un) $(pwd) $COLOUR $*"
touch /etc/schedule-probe 2>/dev/null && echo "writes to /etc"
sudo -n true 2>/dev/null && echo "becomes root"
sleep 2
echo "end $(date +%s.%N)"
exit ${CODE:-0}
"""


@pytest.fixture
def schedule(hosts: Any, play: Play) -> Iterator[Play]:
    """schedule(schedule_interval="3s", …): the playbook for app2, with the probe in place of ansible-playbook; removed after the test."""
    hosts.run(HOST, "tee", PROBE, stdin=PROGRAM.encode())
    hosts.run(HOST, "chmod", "755", PROBE)
    hosts.run(HOST, "journalctl", "--rotate", "--vacuum-time=1s", "--quiet")

    providers = set()

    def call(*arguments: str, **variables: Any) -> Any:
        providers.add(variables.get("schedule_provider", "systemd"))
        given = {
            "autoscale_schedule_host": HOST,
            "schedule_ansible_playbook": PROBE,
            "schedule_inventory": ["/srv/the inventory", "/srv/50%"],
            "schedule_user": "ops",
            "schedule_extra_vars": {"password": "hidden"},
            "schedule_environment": {"COLOUR": "$dark 50% \\blue"},
            **variables,
        }
        return play("schedule", *arguments, **given)

    yield call
    for provider in providers:
        call(schedule_state="absent", schedule_provider=provider).succeeded()


def log(hosts: Any) -> list[str]:
    """What its runs have said, by the journal."""
    return list(hosts.run(HOST, "journalctl", "--identifier", NAME, "--output", "cat", "--no-pager", "--quiet").splitlines())


def times(lines: list[str], what: str) -> list[float]:
    return [float(line.split()[1]) for line in lines if line.startswith(f"{what} ")]


def left(hosts: Any) -> str:
    """Its files and units on the host."""
    folders = ("/etc", "/etc/systemd/system", "/etc/systemd/system/*", "/etc/cron.d")
    paths = " ".join(f"{folder}/{NAME}*" for folder in folders)
    found = f"ls -d {paths} 2>/dev/null; systemctl list-units --all --plain -q '{NAME}.*'"
    return str(hosts.run(HOST, "bash", "-c", found, check=False)).strip()


def test_a_timer_starts_it_from_start_to_start_without_overlap(hosts: Any, schedule: Play) -> None:
    planned = schedule("--check", "--diff", schedule_interval="3s").succeeded()
    assert "+OnUnitActiveSec=3s" in planned.output
    assert "hidden" not in planned.output
    assert left(hosts) == ""
    schedule(schedule_interval="3s").succeeded()
    lines = wait_until(lambda: log(hosts) if len(times(log(hosts), "end")) >= 4 else None, "four runs", 40)
    said = [line.split()[0] for line in lines if re.match("start|end", line)]
    assert said[:8] == ["start", "end"] * 4, "no run begins before the last has ended"
    starts = times(lines, "start")
    gaps = [after - before for before, after in zip(starts, starts[1:], strict=False)]
    # By the interval, and not by that and a run's two seconds; AccuracySec is one second.
    assert all(2.5 < gap < 4.7 for gap in gaps), gaps
    assert sum(gaps[:3]) < 12.5, gaps
    called = f"--inventory=/srv/the inventory --inventory=/srv/50% --extra-vars=@/etc/{NAME}.json microservices.autoscale.reconcile"
    assert lines[0].split(" ", 2)[2] == f"ops /home/ops $dark 50% \\blue {called}"
    assert hosts.run(HOST, "stat", "--format", "%U %a", f"/etc/{NAME}.json") == "ops 600"
    assert hosts.run(HOST, "systemctl", "is-enabled", f"{NAME}.timer") == "enabled"
    assert schedule(schedule_interval="3s").succeeded().changed == 0


@pytest.mark.faults
def test_it_is_kept_from_changing_its_own_machine_unless_told_otherwise(hosts: Any, schedule: Play) -> None:
    schedule(schedule_interval="2s").succeeded()
    wait_until(lambda: times(log(hosts), "end"), "a run", 20)
    assert not [line for line in log(hosts) if line in ("writes to /etc", "becomes root")]
    hosts.run(HOST, "journalctl", "--rotate", "--vacuum-time=1s", "--quiet")
    schedule(schedule_interval="2s", schedule_hardening=False).succeeded()
    wait_until(lambda: "becomes root" in log(hosts), "a run that may become root", 20)


@pytest.mark.faults
def test_runs_that_fail_or_take_longer_than_the_interval_go_on(hosts: Any, schedule: Play) -> None:
    schedule(schedule_interval="1s", schedule_environment={"CODE": "7"}).succeeded()
    lines = wait_until(lambda: log(hosts) if len(times(log(hosts), "end")) >= 8 else None, "eight runs that fail", 60)
    starts, ends = times(lines, "start"), times(lines, "end")
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    assert max(start - end for end, start in zip(ends, starts[1:], strict=False)) < 2, "the next begins when the last has ended"


@pytest.mark.faults
def test_a_run_that_takes_too_long_is_ended(hosts: Any, schedule: Play) -> None:
    hosts.run(HOST, "tee", PROBE, stdin=b"#!/bin/sh\necho start 0\nsleep 600\n")
    schedule(schedule_interval="1s", schedule_timeout="10s").succeeded()
    wait_until(lambda: len(times(log(hosts), "start")) >= 2, "a second run", 40)


@pytest.mark.faults
def test_it_starts_with_the_machine(hosts: Any, schedule: Play) -> None:
    schedule(schedule_interval="1h").succeeded()
    wait_until(lambda: times(log(hosts), "start"), "the first run, at once", 20)
    hosts.shut_down(HOST)
    hosts.boot(HOST)
    wait_until(lambda: log_or_nothing(hosts, "--boot"), "a run after the boot", 60)
    hosts.up()


def log_or_nothing(hosts: Any, *options: str) -> str:
    """What it said; nothing while the host is not up yet."""
    command = ("journalctl", *options, "--identifier", NAME, "--output", "cat", "--no-pager", "--quiet")
    return str(hosts.run(HOST, *command, check=False))


@pytest.mark.faults
@pytest.mark.parametrize(("code", "until"), [("7", "end"), ("0", "start")])
def test_removed_it_leaves_nothing(hosts: Any, schedule: Play, code: str, until: str) -> None:
    """Neither of a run that failed, nor of one that is under way."""
    schedule(schedule_interval="1h", schedule_environment={"CODE": code}).succeeded()
    wait_until(lambda: times(log(hosts), until), "a run", 20)
    before = left(hosts)
    assert f"/etc/systemd/system/timers.target.wants/{NAME}.timer" in before
    assert schedule("--check", schedule_state="absent").succeeded().changed > 0
    assert left(hosts).splitlines()[:4] == before.splitlines()[:4]
    schedule(schedule_state="absent").succeeded()
    assert left(hosts) == ""
    assert len(times(log(hosts), "end")) == 1, "the run has come to its end"
    assert schedule(schedule_state="absent").succeeded().changed == 0


def test_a_unit_that_could_not_start_is_not_installed(hosts: Any, schedule: Play) -> None:
    run = schedule(schedule_ansible_playbook="/nowhere/ansible-playbook")
    assert run.code != 0
    assert "/nowhere/ansible-playbook is not executable" in run.output
    assert "systemd" not in left(hosts)


@pytest.mark.faults
def test_cron_runs_the_job_and_its_output_is_in_the_journal(hosts: Any, schedule: Play) -> None:
    hosts.run(HOST, "systemctl", "start", "cron")
    try:
        schedule(schedule_provider="cron", schedule_interval="1m").succeeded()
        lines = wait_until(lambda: log(hosts), "cron starts it", 75)
        called = f"--inventory=/srv/the inventory --inventory=/srv/50% --extra-vars=@/etc/{NAME}.json microservices.autoscale.reconcile"
        assert lines[0].split(" ", 2)[2] == f"ops /home/ops $dark 50% \\blue {called}"
    finally:
        hosts.run(HOST, "systemctl", "stop", "cron")
    schedule(schedule_provider="cron", schedule_state="absent").succeeded()
    assert left(hosts) == ""
