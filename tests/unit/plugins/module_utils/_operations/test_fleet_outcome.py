# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan looks like to Ansible, from built pictures."""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.plan import PHASES, plan
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.fleet import Picture
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.fleet_outcome import outcome
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.observe import Catalog
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, decision, fleet, host, instance, service, situation

SHOP, CART = service(), service("cart")
ONE = instance(SHOP, "app1", 20000)


def picture(*situations, of_fleet=None, problems=()):
    catalog = Catalog({}, {}, frozenset(), {}, {})
    return Picture(situations, tuple(plan(situations, of_fleet or fleet(ports={"app1": [20000]}))), catalog, problems, NOW)


GROWS = situation(SHOP, [ONE], 2)
CHANGES = picture(GROWS, situation(CART, [], 1))
REST = picture(situation(service(balance=None), [ONE], 1, pool=[], outlook="settled 1"), problems=("cart: is damaged",))


def test_the_steps_of_all_services_stand_by_phase_and_host():
    steps = outcome(CHANGES, False).facts["plan"]["steps"]
    assert {
        phase: {where: [item["service"] for item in items] for where, items in by_host.items()} for phase, by_host in steps.items()
    } == {
        "start": {"app2": ["shop"], "app1": ["cart"]},
        "balance": {"lb1": ["shop", "cart"]},
        "maintain": {},
        "drain": {},
        "stop": {},
        "forget": {},
    }


def test_what_a_play_needs_to_carry_it_out():
    facts = outcome(CHANGES, False).facts["plan"]
    assert (facts["rounds"], facts["hosts"], facts["services"], sorted(facts["pools"])) == (
        1,
        ["app1", "app2", "lb1"],
        ["shop", "cart"],
        ["cart", "shop"],
    )


def test_the_summary_has_a_line_per_service_that_changes():
    assert outcome(CHANGES, False).facts["summary"] == [
        "shop: 2 -> 2: because; starts shop-app2-20000",
        "cart: 1 -> 1: because; starts cart-app1-20001",
    ]


def test_what_each_service_changes_is_told_without_the_readings_behind_it():
    assert outcome(CHANGES, False).facts["plan"]["changes"] == {
        "shop": {"replicas": [2, 2], "starts": ["shop-app2-20000"]},
        "cart": {"replicas": [1, 1], "starts": ["cart-app1-20001"]},
    }


def test_nothing_to_do_touches_no_host():
    facts = outcome(REST, False).facts
    assert facts == {
        "plan": {
            "rounds": 0,
            "hosts": [],
            "services": [],
            "changes": {},
            "steps": {phase: {} for phase in PHASES},
            "pools": {},
            "settled": {},
        },
        "summary": [],
        "problems": ["cart: is damaged"],
    }


def test_a_plan_is_no_change_by_itself():
    assert outcome(CHANGES, False).changed is False


def test_in_check_mode_changes_and_diff_say_the_same():
    made = outcome(CHANGES, True)
    assert made.diff == {
        "before": {"service shop": {"replicas": 2}, "service cart": {"replicas": 1}},
        "after": {
            "service shop": {"replicas": 2, "starts": ["shop-app2-20000"]},
            "service cart": {"replicas": 1, "starts": ["cart-app1-20001"]},
        },
    }


def test_in_check_mode_at_rest_there_is_no_change():
    assert outcome(REST, True).changed is False


def test_in_check_mode_the_decisions_are_shown():
    assert list(outcome(CHANGES, True).facts["decisions"]) == ["shop", "cart"]


def test_notes_are_told_also_where_nothing_is_done():
    silent = fleet(host("app1", alive=False), host("app2"))
    draining = instance(SHOP, "app1", 20001, seen.DRAINING)
    given = situation(service(balance=None), [instance(SHOP, "app2", 20000), draining], 1, pool=[], outlook="settled 1")
    made = outcome(picture(given, of_fleet=silent), False)
    assert made.facts["summary"] == ["shop: shop-app1-20001 stays: its host app1 is silent"]


def test_a_new_decision_is_told_once_also_where_nothing_is_done():
    held = decision(1, kind="held", errors=("requests: no answer",))._replace(reason="held at 1: requests: no answer")
    for outlook, expected in (("settled 1", ["shop: held at 1: requests: no answer"]), ("held 1", [])):
        given = situation(service(balance=None), [ONE], 1, pool=[], outlook=outlook)
        assert outcome(picture(dataclasses.replace(given, decision=held)), False).facts["summary"] == expected


def test_decisions_come_along_where_they_are_asked_for():
    assert list(outcome(REST, False, explain=True).facts["decisions"]) == ["shop"]
    assert "decisions" not in outcome(REST, False).facts


def test_the_facts_are_json():
    assert json.loads(json.dumps(outcome(CHANGES, True).facts))["plan"]["services"] == ["shop", "cart"]
