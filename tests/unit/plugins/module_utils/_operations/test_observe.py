# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an observation is made of, from records and a catalog that have been read."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import ActiveSchedule
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.observe import Catalog, observations
from ansible_collections.microservices.autoscale.tests.unit.builders import service

# 2026-01-01T08:00:00 UTC.
NOW = 1767254400.0
NOWHERE = Catalog({}, {}, frozenset(), {}, {})


@pytest.mark.parametrize(
    ("schedules", "active", "errors", "change"),
    [
        ((), (), (), None),
        (
            (
                {"name": "office", "cron": "0 8 * * *", "duration_seconds": "10h", "min_replicas": 4},
                {"name": "evening", "cron": "0 18 * * *", "duration_seconds": "1h", "min_replicas": 9},
                {"name": "nowhere", "cron": "0 8 * * *", "duration_seconds": "1h", "time_zone": "No/Where", "replicas": 1},
                {"name": "day", "start": "2026-01-01", "end": "2026-01-02", "pause": "scale_down"},
            ),
            (ActiveSchedule("office", min_replicas=4), ActiveSchedule("day", pause="scale_down")),
            ("schedules.nowhere: must be the name of a time zone",),
            NOW + 36000,
        ),
    ],
)
def test_the_schedules_are_evaluated_at_the_time_of_the_run(schedules, active, errors, change):
    record = Record(service(scale={"schedules": list(schedules)}), scale=2)
    (seen,) = observations({"shop": record}, NOWHERE, lambda _records: {}, NOW).values()
    assert (seen.schedules, seen.next_change) == (active, change)
    assert [told.startswith(expected) for told, expected in zip(seen.schedule_errors, errors, strict=False)] == [True] * len(errors)
    assert len(seen.schedule_errors) == len(errors)
