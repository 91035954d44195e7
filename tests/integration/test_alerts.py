# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts in docs/alerts.yml, by promtool's own unit tests, and on a file that reconcile's code has rendered."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.run_metrics import RunState, ServiceState, render
from processes import find_program

HERE = Path(__file__).resolve().parent
ALERTS = HERE.parents[1] / "docs" / "alerts.yml"
RUN = RunState(2.0, 1.0, 1.0, 0, (ServiceState('sh"op\\', 1, 1, 1, 1, False),))


def promtool(*arguments: str, text: str = "") -> None:
    done = subprocess.run([find_program("promtool"), *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", str(HERE / "alerts_test.yml"))


def test_what_reconcile_leaves_is_in_the_format_that_prometheus_reads() -> None:
    promtool("check", "metrics", text=render(RUN))


def test_the_alerts_look_at_metrics_that_reconcile_leaves() -> None:
    rendered = set(re.findall(r"^# TYPE (\S+) gauge$", render(RUN), re.MULTILINE))
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"autoscale_\w+", rule["expr"])}
    assert len(asked) == 7
    assert asked <= rendered
