# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What units and jobs of a schedule say."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.microservices.autoscale.plugins.filter.schedule_entry import schedule_entry
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.schedule import cron_entry, read_schedule, systemd_entry
from hypothesis import given
from hypothesis import strategies as st

EXTRA = "--extra-vars=@/etc/autoscale-reconcile.json"
RUN = f"/srv/venv/bin/ansible-playbook --inventory=/srv/inventory {EXTRA} microservices.autoscale.reconcile"


def variables(**changes):
    return {
        "schedule_name": "autoscale-reconcile",
        "schedule_user": "autoscale",
        "schedule_interval": "1m",
        "schedule_jitter": "0s",
        "schedule_timeout": "30m",
        "schedule_ansible_playbook": "/srv/venv/bin/ansible-playbook",
        "schedule_inventory": ["/srv/inventory"],
        "schedule_playbook": "microservices.autoscale.reconcile",
        "schedule_extra_vars_file": "/etc/autoscale-reconcile.json",
        "schedule_environment": {},
        "schedule_directory": "",
        "schedule_logger": "logger",
        **{f"schedule_{name}": value for name, value in changes.items()},
    }


def systemd(**changes):
    return systemd_entry(read_schedule(variables(**changes)))


def cron(**changes):
    return cron_entry(read_schedule(variables(**changes)), "/etc/autoscale-reconcile.lock")


def test_the_settings_of_units():
    assert systemd(interval="15s", jitter=2, directory="/srv/auto scale") == {
        "command": '":/srv/venv/bin/ansible-playbook" ' + " ".join(f'"{word}"' for word in RUN.split()[1:]),
        "environment": [],
        "directory": "/srv/auto scale",
        "interval": "15s",
        "jitter": "2s",
        "timeout": "1800s",
    }


def test_the_job_of_cron():
    wait = "sleep $(shuf --input-range=0-5 --head-count=1); "
    lock = "flock --nonblock --close /etc/autoscale-reconcile.lock"
    assert cron(interval="5m", jitter="5s", directory="/srv/auto scale", environment={"B": "two words", "A": 1}) == {
        "minute": "*/5",
        "hour": "*",
        "job": f"{wait}cd '/srv/auto scale' && {lock} env A=1 'B=two words' timeout --kill-after=30 1800 {RUN} 2>&1 "
        "| logger -t autoscale-reconcile",
    }


@pytest.mark.parametrize("paths", ["/srv/a,/srv/b", ["/srv/a", "/srv/b"]])
def test_inventories_may_be_given_as_on_a_command_line(paths):
    assert '"--inventory=/srv/a" "--inventory=/srv/b" ' in systemd(inventory=paths)["command"]


def test_the_directory_is_the_users_home_unless_named():
    assert systemd()["directory"] == "~"
    assert " cd " not in cron()["job"]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/srv/a", '"--inventory=/srv/a"'),
        ("/srv/a b", '"--inventory=/srv/a b"'),
        ("/srv/100%", '"--inventory=/srv/100%%"'),
        ("/srv/$HOME", '"--inventory=/srv/$HOME"'),
        ('/srv/a"b', '"--inventory=/srv/a\\"b"'),
        ("/srv/a\\b", '"--inventory=/srv/a\\\\b"'),
        ("/srv/ü;x", '"--inventory=/srv/ü;x"'),
    ],
)
def test_nothing_in_a_units_command_is_expanded(word, quoted):
    assert quoted in systemd(inventory=[word])["command"]


def test_a_units_environment_is_quoted_but_keeps_its_dollars():
    entry = systemd(environment={"SSH_ARGS": '-o "User=$U" 50%', "ANSIBLE_CONFIG": "/srv/ansible.cfg"})
    assert entry["environment"] == ['"ANSIBLE_CONFIG=/srv/ansible.cfg"', '"SSH_ARGS=-o \\"User=$U\\" 50%%"']


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"inventory": ["/srv/\ufeff"]}, "the command of the schedule"), ({"environment": {"A": "\ufeff"}}, "schedule_environment.A")],
)
def test_what_a_unit_cannot_say_is_refused(changes, named):
    with pytest.raises(InvalidDescription, match=f"{named} has the character U\\+FEFF, which systemd does not take"):
        systemd(**changes)


def test_percent_is_escaped_for_cron():
    assert "'--inventory=/srv/50\\% off'" in cron(inventory=["/srv/50% off"])["job"]


@pytest.mark.parametrize(
    ("interval", "minute", "hour"),
    [
        ("60s", "*", "*"),
        ("1m", "*", "*"),
        (120, "*/2", "*"),
        ("30m", "*/30", "*"),
        ("60m", "0", "*"),
        ("1h", "0", "*"),
        ("6h", "0", "*/6"),
        ("1d", "0", "0"),
    ],
)
def test_intervals_that_cron_knows(interval, minute, hour):
    entry = cron(interval=interval)
    assert (entry["minute"], entry["hour"]) == (minute, hour)


@pytest.mark.parametrize("interval", ["15s", "90s", "7m", "90m", "5h", "1m1s", "0.5m"])
def test_intervals_that_cron_does_not_know(interval):
    with pytest.raises(InvalidDescription, match="schedule_interval: "):
        cron(interval=interval)


@given(st.integers(min_value=1, max_value=86400))
def test_a_job_of_cron_runs_as_often_as_was_asked_or_is_refused(seconds):
    """Counted over the minutes of a day, as cron looks at its fields."""
    try:
        entry = cron(interval=seconds)
    except InvalidDescription:
        return
    minutes, hours = _times(entry["minute"], 60), _times(entry["hour"], 24)
    starts = [hour * 3600 + minute * 60 for hour in hours for minute in minutes]
    gaps = {after - before for before, after in zip(starts, [*starts[1:], starts[0] + 86400], strict=True)}
    assert gaps == {seconds}


def _times(field, end):
    if field == "*":
        return range(end)
    return range(0, end, int(field.removeprefix("*/"))) if field.startswith("*/") else [int(field)]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "auto scale"}, "schedule_name: must be letters, digits"),
        ({"name": "auto.scale"}, "schedule_name: "),
        ({"name": "../evil"}, "schedule_name: "),
        ({"user": "root\nx"}, "schedule_user: "),
        ({"user": ""}, "schedule_user: "),
        ({"interval": "soon"}, "schedule_interval: must be a duration such as 30, 10s or 5m, at least 1 s and at most 86400 s, got 'soon'"),
        ({"interval": "100ms"}, "schedule_interval: "),
        ({"interval": "2d"}, "schedule_interval: "),
        ({"jitter": "2m"}, "schedule_jitter: must be a duration .* at most 60 s"),
        ({"timeout": "1s"}, "schedule_timeout: "),
        ({"inventory": []}, "schedule_inventory: must name at least one inventory"),
        ({"inventory": ""}, r"schedule_inventory\[0\]: must be an absolute path"),
        ({"inventory": ["inventory"]}, r"schedule_inventory\[0\]: must be an absolute path, got 'inventory'"),
        ({"inventory": ["/srv/a\nExecStartPost=/bin/evil"]}, r"schedule_inventory\[0\]: "),
        ({"playbook": "-e x"}, "schedule_playbook: "),
        ({"ansible_playbook": "ansible-playbook"}, "schedule_ansible_playbook: must be an absolute path"),
        ({"directory": "here"}, "schedule_directory: must be an absolute path"),
        ({"environment": {"A-B": "x"}}, r"schedule_environment.A-B: must be named like a variable of the environment, got 'A-B'"),
        ({"environment": {"A": "x\ny"}}, r"schedule_environment.A: must be one line of text"),
        ({"environment": ["A"]}, "schedule_environment: must be a mapping"),
        ({"logger": ""}, "schedule_logger: "),
    ],
)
def test_what_is_wrong_is_named(changes, error):
    with pytest.raises(InvalidDescription, match=error):
        read_schedule(variables(**changes))


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(InvalidDescription) as refused:
        read_schedule(variables(interval="soon", inventory=[]))
    assert len(refused.value.errors) == 2


def test_the_filter_gives_what_its_provider_needs():
    assert schedule_entry(variables(), "systemd").keys() >= {"command", "interval"}
    assert schedule_entry(variables(), "cron", "/run/lock").keys() == {"minute", "hour", "job"}
    with pytest.raises(AnsibleFilterError, match="schedule_interval: cron knows whole minutes"):
        schedule_entry(variables(interval="15s"), "cron", "/run/lock")
