# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""From the proposals of several metrics to one recommendation."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .policy import Metric, Policy
from .proposal import Proposal


class Verdict(NamedTuple):
    """What the metrics ask for together.

    Args:
        replicas: None where they cannot say; winner: the proposal that decides.
        errors: of metrics that have no say.
    """

    replicas: int | None
    winner: Proposal | None
    errors: tuple[str, ...]


def judge(policy: Policy, proposals: Sequence[Proposal], current: int) -> Verdict:
    """The highest proposal, a group of metrics being one voice.

    As in the HPA, what remains may only keep or raise the count where some metrics have no say; and what stands in for readings never
    lowers it by itself.
    """
    errors = tuple(f"{proposal.metric}: {proposal.error}" for proposal in proposals if proposal.replicas is None)
    winner = max(_voices(policy, proposals, current), key=_replicas, default=None)
    if winner is None or winner.replicas is None:
        return Verdict(None, None, errors)
    if winner.replicas < current:
        read = [proposal for proposal in proposals if proposal.rule != "fixed"]
        blind = bool(read) and all(proposal.error is not None for proposal in read)
        if errors or blind:
            return Verdict(None, None, errors or tuple(f"{proposal.metric}: {proposal.error}" for proposal in read))
    return Verdict(winner.replicas, winner, errors)


def _voices(policy: Policy, proposals: Sequence[Proposal], current: int) -> list[Proposal]:
    """The proposals that compete: those of no group, and each group's."""
    voices = [proposal for metric, proposal in zip(policy.metrics, proposals) if metric.group is None and proposal.replicas is not None]
    for name, kind in policy.groups.items():
        members = [proposal for metric, proposal in zip(policy.metrics, proposals) if metric.group == name]
        able = [member for member in members if member.replicas is not None]
        if not able:
            continue
        if kind == "any":
            voices.append(max(able, key=_replicas))
            continue
        voices.append(_lowest(able, current, all_able=len(able) == len(members)))
    return voices


def _lowest(able: Sequence[Proposal], current: int, all_able: bool) -> Proposal:
    """What a group of type all asks for: who has no say has not agreed to more, and what stands in for a reading has not agreed to less."""
    seen = [proposal for proposal in able if proposal.error is None]
    lowest = min(seen or able, key=_replicas)
    replicas = _replicas(lowest)
    for proposal in able:
        if proposal.error is not None:
            replicas = max(min(replicas, max(_replicas(proposal), current)), min(_replicas(proposal), current))
    return lowest._replace(replicas=replicas if all_able else min(replicas, current))


def _replicas(proposal: Proposal) -> int:
    return proposal.replicas or 0


def fail_reason(metric: Metric) -> str:
    """The HPA's word for a metric of this kind that could not be read."""
    if metric.type == "cpu":
        return "FailedGetResourceMetric"
    return "FailedGetPodsMetric" if metric.per_instance else "FailedGetExternalMetric"
