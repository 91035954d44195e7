# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a decision leaves in the history, for the decisions after it."""

from __future__ import annotations

import dataclasses

from .decision import Decision
from .history import Failure, History
from .policy import Policy


def decided(history: History, policy: Policy, decision: Decision, now: float) -> History:
    """With what a decision found noted, whether or not it is carried out.

    Args:
        now: seconds since the epoch.
    """
    if decision.recommendation is not None:
        history = history.recommending(now, decision.recommendation, policy.longest_window_seconds)
    if not decision.proposals:
        return history
    known: dict[str, int] = {}
    failing: dict[str, Failure] = {}
    samples: dict[str, tuple[float, ...]] = {}
    for metric, proposal in zip(policy.metrics, decision.proposals):
        name = metric.name
        fallbacks = (metric.on_missing.scale_up.kind, metric.on_missing.scale_down.kind)
        before = history.samples.get(name, ())
        if proposal.error is not None:
            failure = history.failing.get(name)
            failing[name] = Failure(failure.since, failure.count + 1) if failure else Failure(now)
            if name in history.known:
                known[name] = history.known[name]
        elif "last_known" in fallbacks and proposal.replicas is not None:
            known[name] = proposal.replicas
        if metric.agree > 1:
            # Readings have to agree in a row: one that is missing begins it anew.
            samples[name] = (*before, proposal.measured)[1 - metric.agree :] if proposal.measured is not None else ()
    return dataclasses.replace(history, known=known, failing=failing, samples=samples)


def scaled(history: History, policy: Policy, before: int | None, after: int, now: float) -> History:
    """With a change of the scale noted.

    Args:
        before: None at the first deploy.
    """
    keep = policy.longest_window_seconds
    if before is None:
        # As the HPA seeds its log, so that a first low reading cannot shrink what was just deployed.
        return history.recommending(now, after, keep)
    return dataclasses.replace(history.scaled(now, after - before, keep), scaled_to_zero=after == 0)
