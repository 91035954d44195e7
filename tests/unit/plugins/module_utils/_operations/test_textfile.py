# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run leaves in its textfile, in which case."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.plan import plan
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.fleet import Picture
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.observe import Catalog
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.textfile import Textfile
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, decision, fleet, instance, service, situation

SHOP = service(balance=None)
ONE = instance(SHOP, "app1", 20000)
RUN = "autoscale_reconcile_last_run_timestamp_seconds"
SUCCESS = "autoscale_reconcile_last_success_timestamp_seconds"
PROBLEMS = "autoscale_reconcile_problems"


def picture(desired=1, problems=(), now=NOW, kind="steady"):
    seen = situation(SHOP, [ONE], desired, pool=[])
    seen = dataclasses.replace(seen, decision=decision(desired, kind=kind))
    plans = tuple(plan([seen], fleet(ports={"app1": [20000]})))
    return Picture((seen,), plans, Catalog({}, {}, frozenset(), {}, {}), tuple(problems), now)


def left(path):
    return {name: float(value) for name, value in (line.split(" ") for line in path.read_text().splitlines() if line[0] != "#")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file that a good run has left ten minutes ago."""
    file = tmp_path / "autoscale.prom"
    Textfile(str(file), None, lambda: 1.5).note(picture(now=NOW - 600))
    return file


def test_at_rest_is_a_success(path):
    assert Textfile(str(path), None, lambda: 1.5).note(picture()) == ()
    assert left(path) == {
        RUN: NOW,
        SUCCESS: NOW,
        "autoscale_reconcile_duration_seconds": 1.5,
        PROBLEMS: 0,
        'autoscale_desired_replicas{service="shop"}': 1,
        'autoscale_ready_replicas{service="shop"}': 1,
        'autoscale_min_replicas{service="shop"}': 2,
        'autoscale_max_replicas{service="shop"}': 8,
        'autoscale_held{service="shop"}': 0,
    }
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("said", "seen", "success", "problems"),
    [
        (None, picture(problems=["shop: is ill", "cart: is ill", "cart: is late"]), NOW - 600, 2),
        # With steps before it, a run is no success yet.
        (None, picture(desired=2), NOW - 600, 0),
        # At the end the run's own count is what matters.
        (0, picture(desired=2), NOW, 0),
        (0, picture(problems=["shop: no place among the hosts of this play"]), NOW, 0),
        (3, picture(), NOW - 600, 3),
    ],
)
def test_what_is_no_success_keeps_the_time_of_the_last(path, said, seen, success, problems):
    Textfile(str(path), said, lambda: None).note(seen)
    found = left(path)
    assert (found[RUN], found[SUCCESS], found[PROBLEMS]) == (NOW, success, problems)


def test_a_held_service_is_told(path):
    Textfile(str(path), None, lambda: None).note(picture(problems=["shop: no metric"], kind="held"))
    assert left(path)['autoscale_held{service="shop"}'] == 1


def test_a_run_that_ends_with_an_error_leaves_a_problem_and_no_service(path):
    with pytest.raises(AutoscaleError, match="no answer"), Textfile(str(path), None, lambda: 2.0).failures():
        raise AutoscaleError("no answer")
    found = left(path)
    assert (found[SUCCESS], found[PROBLEMS]) == (NOW - 600, 1)
    assert found[RUN] > NOW - 600
    assert not [name for name in found if "service" in name]


def test_without_a_path_nothing_is_left(tmp_path):
    assert Textfile(None, None, lambda: None).note(picture()) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_warning(tmp_path):
    (warning,) = Textfile(str(tmp_path / "no" / "autoscale.prom"), None, lambda: None).note(picture())
    assert "cannot be written to" in warning
    assert "No such file or directory" in warning


def test_a_name_that_nobody_would_collect_is_refused(tmp_path):
    with pytest.raises(AutoscaleError, match=r"must end in \.prom"):
        Textfile(str(tmp_path / "autoscale.txt"), None, lambda: None)
