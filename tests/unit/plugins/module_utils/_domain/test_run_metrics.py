# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a run as text, checked by hand-made tables and by a reading of the format's rules."""

from __future__ import annotations

import re

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.run_metrics import (
    RunState,
    ServiceState,
    escape,
    last_success_in,
    render,
)
from hypothesis import given
from hypothesis import strategies as st

SHOP = ServiceState("shop", desired=4, ready=3, min_replicas=2, max_replicas=8, held=False)
CART = ServiceState("cart", desired=1, ready=1, min_replicas=1, max_replicas=1, held=True)


def test_a_whole_run() -> None:
    assert render(RunState(1795413600.25, 1795413600.25, 1.5, 0, (SHOP, CART))) == (
        """\
# HELP autoscale_reconcile_last_run_timestamp_seconds When reconcile last looked at the fleet.
# TYPE autoscale_reconcile_last_run_timestamp_seconds gauge
autoscale_reconcile_last_run_timestamp_seconds 1795413600.25
# HELP autoscale_reconcile_last_success_timestamp_seconds When reconcile last ended without a problem.
# TYPE autoscale_reconcile_last_success_timestamp_seconds gauge
autoscale_reconcile_last_success_timestamp_seconds 1795413600.25
# HELP autoscale_reconcile_duration_seconds How long the last run has taken.
# TYPE autoscale_reconcile_duration_seconds gauge
autoscale_reconcile_duration_seconds 1.5
# HELP autoscale_reconcile_problems Problems that the last run told of.
# TYPE autoscale_reconcile_problems gauge
autoscale_reconcile_problems 0
# HELP autoscale_desired_replicas Replicas that the service should have.
# TYPE autoscale_desired_replicas gauge
autoscale_desired_replicas{service="shop"} 4
autoscale_desired_replicas{service="cart"} 1
# HELP autoscale_ready_replicas Instances that are healthy in Consul.
# TYPE autoscale_ready_replicas gauge
autoscale_ready_replicas{service="shop"} 3
autoscale_ready_replicas{service="cart"} 1
# HELP autoscale_min_replicas The policy's lower bound.
# TYPE autoscale_min_replicas gauge
autoscale_min_replicas{service="shop"} 2
autoscale_min_replicas{service="cart"} 1
# HELP autoscale_max_replicas The policy's upper bound.
# TYPE autoscale_max_replicas gauge
autoscale_max_replicas{service="shop"} 8
autoscale_max_replicas{service="cart"} 1
# HELP autoscale_held 1 while the count is kept because a metric is missing, stale or failing.
# TYPE autoscale_held gauge
autoscale_held{service="shop"} 0
autoscale_held{service="cart"} 1
"""
    )


@pytest.mark.parametrize(
    ("run", "missing"),
    [
        (RunState(1.0, None, 1.0, 1), "autoscale_reconcile_last_success_timestamp_seconds"),
        (RunState(1.0, 1.0, None, 0), "autoscale_reconcile_duration_seconds"),
        (RunState(1.0, 1.0, 1.0, 0), "autoscale_desired_replicas"),
    ],
)
def test_what_is_not_known_has_no_line(run: RunState, missing: str) -> None:
    text = render(run)
    assert missing not in text
    assert text.count("# TYPE") >= 3


@pytest.mark.parametrize(
    ("label", "escaped"),
    [("shop", "shop"), ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ('\\"\n', r"\\\"\n"), ("ü", "ü")],
)
def test_labels_are_escaped(label: str, escaped: str) -> None:
    assert escape(label) == escaped


@given(st.text())
def test_any_name_gives_one_line_from_which_it_can_be_read_again(name: str) -> None:
    text = render(RunState(1.0, None, None, 0, (ServiceState(name, 1, 1, 1, 1, False),)))
    (label,) = re.findall(r'^autoscale_held\{service="((?:[^"\\\n]|\\["\\n])*)"\} 0\n', text, re.MULTILINE)
    assert re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found.group(1), found.group(1)), label) == name


@given(st.floats(min_value=0, max_value=4e9))
def test_the_time_of_the_last_success_survives(time: float) -> None:
    kept = last_success_in(render(RunState(time, time, None, 0)))
    assert kept is not None
    assert abs(kept - time) <= 0.001


@pytest.mark.parametrize(
    "text",
    [
        "",
        "autoscale_reconcile_last_success_timestamp_seconds\n",
        "autoscale_reconcile_last_success_timestamp_seconds soon\n",
        "autoscale_reconcile_last_success_timestamp_seconds NaN\n",
        "autoscale_reconcile_last_success_timestamp_seconds +Inf\n",
        "# autoscale_reconcile_last_success_timestamp_seconds 3\n",
    ],
)
def test_a_file_that_does_not_tell_is_no_success(text: str) -> None:
    assert last_success_in(text) is None
