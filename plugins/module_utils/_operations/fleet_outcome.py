# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a run saw, decided and planned, as a module returns it to the roles that carry it out and to people."""

from __future__ import annotations

from typing import Any, Iterator

from .._domain.explanation import decision_line
from .._domain.plan import PHASES, START, STOP, ServicePlan
from .._domain.situation import Situation
from .fleet import Picture, is_news
from .outcome import Change, Outcome


def outcome(picture: Picture, check_mode: bool, explain: bool = False) -> Outcome:
    """The picture as a module returns it: a change in check mode only, since the steps are carried out by others.

    Args:
        explain: whether all decisions are told in full, as in check mode; for a large fleet they are large.
    """
    working = [made for made in picture.plans if made.steps]
    steps: dict[str, dict[str, list[Any]]] = {phase: {} for phase in PHASES}
    for made in working:
        for phase, by_host in made.steps.items():
            for host, items in by_host.items():
                steps[phase].setdefault(host, []).extend(items)
    facts: dict[str, Any] = {
        "plan": {
            "rounds": max((made.rounds for made in working), default=0),
            "hosts": sorted({host for made in working for host in made.reach}),
            "services": [made.service for made in working],
            "changes": {made.service: {"replicas": [made.current or 0, made.desired], **_what(made)} for made in working},
            "steps": steps,
            "pools": {made.service: made.pools for made in working},
            "settled": {made.service: sorted(_settled(made)) for made in working},
        },
        "summary": [line for situation, made in zip(picture.situations, picture.plans) for line in _lines(situation, made)],
        "problems": list(picture.problems),
    }
    changes = tuple(
        Change(f"service {made.service}", {"replicas": made.current}, {"replicas": made.desired, **_what(made)}) for made in working
    )
    if check_mode or explain:
        facts["decisions"] = {situation.decision.service: situation.decision.to_dict() for situation in picture.situations}
    return Outcome(changes if check_mode else (), facts)


def _settled(made: ServicePlan) -> set[str]:
    return {item["id"] for phase in (START, STOP) for items in made.steps.get(phase, {}).values() for item in items}


def _what(made: ServicePlan) -> dict[str, list[str]]:
    what = {"starts": sorted(slot.id for slot in made.starts), "stops": sorted(instance.id for instance in made.stops)}
    if any(what.values()):
        return {name: ids for name, ids in what.items() if ids}
    return {"balances": sorted(made.pools)} if made.pools else {"resumes": sorted(_settled(made))}


def _lines(situation: Situation, made: ServicePlan) -> Iterator[str]:
    """What changes, or else a decision that is new, and the notes; a decision that goes on is not told again in every run."""
    if made.steps:
        what = "; ".join(f"{verb} {', '.join(ids)}" for verb, ids in _what(made).items())
        yield f"{made.service}: {made.current or 0} -> {made.desired}: {made.reason}; {what}"
    elif is_news(situation, made):
        yield decision_line(situation.decision.to_dict())
    for note in made.notes:
        yield f"{made.service}: {note}"
