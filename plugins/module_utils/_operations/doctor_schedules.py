# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The doctor's check of the deployed services' schedules, which need libraries that others do not."""

from __future__ import annotations

import time

from .._clients.consul import Consul
from .._domain.documents import Signing
from .._domain.errors import AutoscaleError
from .._domain.problems import together
from .records import read_records
from .schedules import Calendar


def evaluated(consul: Consul) -> str:
    """All schedules of deployed services can be evaluated here; raises AutoscaleError with those that cannot."""
    # Whether a release can be trusted is another question.
    records = read_records(consul, Signing(None, allow_unsigned=True)).by_service
    scheduled = {name: record.service.scale.schedules for name, record in records.items() if record.service.scale.schedules}
    calendar = Calendar(time.time())
    problems = [f"{name}: {error}" for name, schedules in scheduled.items() for error in calendar.evaluate(schedules).errors]
    if problems:
        raise AutoscaleError("; ".join(together(problems)))
    return f"{len(scheduled)} services with schedules"
