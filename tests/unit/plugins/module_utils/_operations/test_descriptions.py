# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules and formulas are checked where a description enters, with the path of what is wrong."""

from __future__ import annotations

import contextlib
import json
import sys

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.releases import described
from ansible_collections.microservices.autoscale.tests.unit.builders import DESCRIPTION
from hypothesis import given
from hypothesis import strategies as st

NIGHT = {"name": "night", "cron": "0 22 * * *", "duration_seconds": "8h", "time_zone": "Europe/Berlin", "max_replicas": 3}
FAIR = {"name": "fair", "start": "2026-12-24T18:00", "end": "2026-12-27", "time_zone": "Europe/Berlin", "replicas": 9}
QUEUE = {
    "type": "formula",
    "formula": "(jobs + 2 * late) / 3",
    "readings": {"jobs": {"type": "prometheus", "query": "jobs"}, "late": {"type": "prometheus", "query": "late"}},
    "target": {"type": "average_value", "value": 10},
}


def shop(**scale):
    return {**DESCRIPTION, "scale": {"min_replicas": 1, "max_replicas": 9, **scale}}


def errors(*scales, folder=None):
    with pytest.raises(InvalidDescription) as caught:
        described({f"shop{number or ''}": shop(**scale) for number, scale in enumerate(scales)}, folder)
    return caught.value.errors


def test_what_is_right_is_read():
    (service,) = described({"shop": shop(schedules=[NIGHT, FAIR], metrics=[{"requests": 50}, QUEUE])}, None)
    assert [schedule.name for schedule in service.scale.schedules] == ["night", "fair"]
    # What is published is read the same way.
    assert described({"shop": json.loads(json.dumps(service.to_description()))}, None) == (service,)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ({"schedules": [{**NIGHT, "cron": "0 25 * * *"}]},
         "schedules[0].cron: must be a cron expression (minute, hour, day of month, month, day of week), got '0 25 * * *': Bad hour"),
        ({"schedules": [FAIR, {**NIGHT, "cron": "@daily"}]},
         "schedules[1].cron: must be a cron expression of five fields (minute, hour, day of month, month, day of week), got '@daily'"),
        ({"schedules": [{**NIGHT, "time_zone": "Mars/Phobos"}]},
         "schedules[0].time_zone: must be the name of a time zone such as Europe/Berlin, got 'Mars/Phobos', which is not known on "),
        ({"schedules": [{**FAIR, "start": "24.12.2026"}]},
         "schedules[0].start: must be a local time such as '2026-12-24T18:00', without an offset (time_zone says where), got '24.12.2026'"),
        ({"schedules": [{**FAIR, "end": "2026-12-27T00:00+01:00"}]}, "schedules[0].end: must be a local time such as "),
        ({"schedules": [{**FAIR, "end": "2026-12-24T18:00"}]},
         "schedules[0].end: must be after start, which is 2026-12-24T18:00:00, got '2026-12-24T18:00'"),
        ({"metrics": [{"requests": 50}, {**QUEUE, "formula": "jobs / workers"}]},
         "metrics[1].formula: the formula 'jobs / workers' uses workers, which is not among its readings: jobs, late"),
        ({"metrics": [{**QUEUE, "formula": "jobs.__class__"}]},
         "metrics[0].formula: the formula 'jobs.__class__' is more than arithmetic: getattr is not allowed"),
        ({"metrics": [{**QUEUE, "formula": "jobs +"}]}, "metrics[0].formula: the formula 'jobs +' cannot be read: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path(scale, expected):
    (error,) = errors(scale)
    assert error.startswith(f"autoscale_services.shop.scale.{expected}")


def test_all_errors_of_all_services_come_together_with_those_of_the_form():
    wrong = {"schedules": [{**NIGHT, "cron": "x"}, {**FAIR, "pause": "now"}], "metrics": [{**QUEUE, "formula": "y"}]}
    assert [error.partition(":")[0] for error in errors(wrong, {"schedules": [{**NIGHT, "time_zone": "x"}]}, {"min_replicas": -1})] == [
        "autoscale_services.shop.scale.schedules[1].pause",
        "autoscale_services.shop2.scale.min_replicas",
        "autoscale_services.shop.scale.schedules[0].cron",
        "autoscale_services.shop.scale.metrics[0].formula",
        "autoscale_services.shop1.scale.schedules[0].time_zone",
    ]


def test_a_folder_is_checked_the_same_way(tmp_path):
    (tmp_path / "shop.json").write_text(json.dumps(shop(schedules=[{**NIGHT, "cron": "x"}])))
    (tmp_path / "cart.json").write_text(json.dumps(shop(metrics=[{**QUEUE, "formula": "y"}])))
    assert [error.partition(": must")[0].partition(": the")[0] for error in errors(folder=str(tmp_path))] == [
        f"{tmp_path}/cart.json: cart.scale.metrics[0].formula",
        f"{tmp_path}/shop.json: shop.scale.schedules[0].cron",
    ]


@pytest.mark.parametrize(("library", "scale"), [("cronsim", {"schedules": [NIGHT]}), ("jinja2", {"metrics": [QUEUE]})])
def test_a_library_that_is_missing_is_named(monkeypatch, library, scale):
    # As it is written nowhere else: what was read before is kept.
    scale = json.loads(json.dumps(scale).replace("jobs + 2", "jobs + 2.5"))
    monkeypatch.setitem(sys.modules, library, None)
    (error,) = errors(scale)
    assert f"the Python library '{library}' is missing on" in error
    assert sys.executable in error
    assert described({"shop": shop(schedules=[FAIR])}, None)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("cron", "start", "end", "time_zone", "formula", "readings")), inner),
    max_leaves=12,
)  # fmt: skip


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_is_given_is_refused_and_nothing_else_happens(schedules, metrics, scale):
    for given_scale in ({"schedules": schedules, "metrics": metrics}, {"schedules": [schedules], "metrics": [metrics]}, scale):
        with contextlib.suppress(InvalidDescription):
            described({"shop": {**DESCRIPTION, "scale": given_scale}}, None)
