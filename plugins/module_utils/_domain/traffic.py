# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What balancers see of an instance, in one shape whatever balancer it is and whoever was asked."""

from __future__ import annotations

import dataclasses
from typing import Mapping

# What may go wrong with a request: the instance says so, cannot be reached, or breaks off.
ERRORS = ("4xx", "5xx", "connection", "response")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """One instance as all of its balancers together see it; None is what they do not tell.

    Args:
        request_rate: requests per second.
        error_rates: per second, by the classes in ERRORS.
        response_seconds: mean time to the instance's answer, weighed by requests where there are several balancers.
        in_flight: requests that it has just now.
        queued: requests that wait for it just now.
    """

    request_rate: float | None = None
    error_rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    response_seconds: float | None = None
    in_flight: float | None = None
    queued: float | None = None

    def __add__(self, other: Traffic) -> Traffic:
        """The same instance behind one more balancer."""
        return Traffic(
            request_rate=_sum(self.request_rate, other.request_rate),
            error_rates={
                name: (self.error_rates.get(name, 0.0) + other.error_rates.get(name, 0.0))
                for name in ERRORS
                if name in self.error_rates or name in other.error_rates
            },
            response_seconds=_mean(self, other),
            in_flight=_sum(self.in_flight, other.in_flight),
            queued=_sum(self.queued, other.queued),
        )

    @property
    def busy(self) -> tuple[float, float]:
        """For comparing instances of one service: what it has to do now, then what it is asked for."""
        return (self.in_flight or 0.0) + (self.queued or 0.0), self.request_rate or 0.0


def _sum(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else one + other


def _mean(one: Traffic, other: Traffic) -> float | None:
    known = [(each.response_seconds, each.request_rate or 0.0) for each in (one, other) if each.response_seconds is not None]
    weight = sum(rate for _seconds, rate in known)
    if len(known) < 2 or weight <= 0:
        return known[0][0] if known else None
    return sum((seconds or 0.0) * rate for seconds, rate in known) / weight
