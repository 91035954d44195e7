# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters between a plan and the tasks that carry it out."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.filter.fleet_hosts import FilterModule as FleetHosts
from ansible_collections.microservices.autoscale.plugins.filter.plan_news import FilterModule as PlanNews
from ansible_collections.microservices.autoscale.plugins.filter.run_problems import FilterModule as RunProblems
from ansible_collections.microservices.autoscale.plugins.filter.step_failures import FilterModule as StepFailures
from ansible_collections.microservices.autoscale.plugins.filter.step_items import FilterModule as StepItems

fleet_hosts = FleetHosts().filters()["fleet_hosts"]
plan_news = PlanNews().filters()["plan_news"]
run_problems = RunProblems().filters()["run_problems"]
step_failures = StepFailures().filters()["step_failures"]
step_items = StepItems().filters()["step_items"]

SHOP, CART = {"service": "shop", "id": "shop-app1-20000"}, {"service": "cart", "id": "cart-app1-20001"}
PLAN = {"steps": {"start": {"app1": [SHOP, CART], "app2": [SHOP]}, "stop": {}}}
FAILED = {"service": "shop", "host": "app1", "phase": "start", "instance": "shop-app1-20000", "error": "exited"}


@pytest.mark.parametrize(
    ("phase", "where", "failures", "expected"),
    [
        ("start", "app1", [], [SHOP, CART]),
        ("start", "app2", [], [SHOP]),
        ("start", "app3", [], []),
        ("stop", "app1", [], []),
        ("drain", "app1", [], []),
        # A service of which a step failed on any host is left out everywhere, the others go on.
        ("start", "app1", [FAILED], [CART]),
        ("start", "app2", [FAILED], []),
    ],
)
def test_step_items(phase, where, failures, expected):
    assert step_items(PLAN, phase, where, failures) == expected


POOL = {"service": "shop", "servers": [{"id": "shop-app1-20000"}, {"id": "shop-app2-20000"}]}


@pytest.mark.parametrize(
    ("partial", "failures", "expected"),
    [
        (True, [], [POOL]),
        (False, [FAILED], []),
        # What did start comes into rotation; what did not is left out.
        (True, [FAILED], [{**POOL, "servers": [{"id": "shop-app2-20000"}]}]),
        (True, [FAILED, {**FAILED, "instance": "shop-app2-20000"}], []),
        # Nobody knows which instance this one was, or it is no start that failed.
        (True, [{**FAILED, "instance": ""}], []),
        (True, [{**FAILED, "phase": "balance"}], []),
    ],
)
def test_a_pool_may_come_into_rotation_in_part(partial, failures, expected):
    plan = {"steps": {"balance": {"lb1": [{**POOL, "partial": True} if partial else POOL]}}}
    assert step_items(plan, "balance", "lb1", failures) == expected


def test_a_plan_without_steps_has_no_items():
    assert step_items({}, "start", "app1") == []


def failures_of(present=None, **results):
    hostvars = {"app1": {}, "app2": {"started": {"failures": []}}}
    for where, result in results.items():
        hostvars[where] = {"started": result}
    found = step_failures(PLAN, "start", hostvars, "started", ["app1", "app2"] if present is None else present)
    return [(one["host"], one["service"], one["instance"], one["error"]) for one in found]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"failures": []}, []),
        ({"changed": True}, []),
        (
            {"failures": [{"service": "shop", "instance": "shop-app1-20000", "error": "exited"}]},
            [("app1", "shop", "shop-app1-20000", "exited")],
        ),
        ({"failures": [{"service": "shop", "error": "no answer"}]}, [("app1", "shop", "", "no answer")]),
        # A host that failed as a whole has failed for everything that it had to do.
        (
            {"failed": True, "msg": "no module requests"},
            [("app1", "shop", "shop-app1-20000", "no module requests"), ("app1", "cart", "cart-app1-20001", "no module requests")],
        ),
        (
            {"unreachable": True, "msg": "timed out"},
            [("app1", "shop", "shop-app1-20000", "timed out"), ("app1", "cart", "cart-app1-20001", "timed out")],
        ),
        (
            {"unreachable": True},
            [("app1", "shop", "shop-app1-20000", "the step failed"), ("app1", "cart", "cart-app1-20001", "the step failed")],
        ),
    ],
)
def test_step_failures(result, expected):
    assert failures_of(app1=result) == expected


def test_a_host_that_registered_nothing_has_failed():
    assert failures_of() == [
        ("app1", "shop", "shop-app1-20000", "the step was not carried out"),
        ("app1", "cart", "cart-app1-20001", "the step was not carried out"),
    ]


def test_what_a_host_registered_before_it_left_the_play_is_no_result_of_this_step():
    lost = ("app1", "shop", "shop-app1-20000"), ("app1", "cart", "cart-app1-20001")
    assert failures_of(["app2"], app1={"failures": []}) == [(*one, "the step was not carried out") for one in lost]
    assert failures_of(["app2"], app1={"failed": True, "msg": "no module requests"}) == [(*one, "no module requests") for one in lost]


def test_a_failure_names_its_phase():
    assert {one["phase"] for one in step_failures(PLAN, "start", {"app1": {}, "app2": {}}, "started", [])} == {"start"}


def test_a_phase_without_steps_cannot_fail():
    assert step_failures(PLAN, "stop", {}, "stopped", []) == []


@pytest.mark.parametrize(
    ("problems", "failures", "busy", "expected"),
    [
        ([], [], [], []),
        (["shop: no place"], [], [], ["shop: no place"]),
        ([], [FAILED], [], ["shop: start shop-app1-20000 on app1 failed: exited"]),
        ([], [{**FAILED, "instance": ""}], [], ["shop: start on app1 failed: exited"]),
        ([], [], [{"service": "shop", "message": "is locked by ops1"}], ["shop: is locked by ops1"]),
        (
            ["cart: no place"],
            [FAILED],
            [{"service": "shop", "message": "m"}],
            ["cart: no place", "shop: start shop-app1-20000 on app1 failed: exited", "shop: m"],
        ),
        # One line for what is the same for many services.
        (["cart: x: no answer", "shop: x: no answer", "shop: y"], [], [], ["cart, shop: x: no answer", "shop: y"]),
        ([f"s{number}: no answer" for number in range(7)], [], [], ["s0, s1, s2, s3, s4 and 2 more: no answer"]),
    ],
)
def test_run_problems(problems, failures, busy, expected):
    assert run_problems(problems, failures, busy) == expected


def test_run_problems_believes_the_newest_look_at_a_service():
    assert run_problems(["shop: new"], [], [], ["shop: old", "cart: old"], ["shop"]) == ["cart: old", "shop: new"]


def test_run_problems_leaves_what_it_is_given_alone():
    problems = ["shop: no place"]
    run_problems(problems, [FAILED])
    assert problems == ["shop: no place"]


@pytest.mark.parametrize(
    ("variables", "play_hosts", "expected"),
    [
        ({}, ["app1"], {"name": "app1", "node": "app1", "address": None, "balancer": "haproxy", "cordoned": False}),
        ({}, ["app2"], {"name": "app1", "node": "app1", "address": None, "balancer": "haproxy", "cordoned": True}),
        (
            {"autoscale_consul_node": "n1", "autoscale_address": "192.0.2.1", "autoscale_balancer_provider": "nginx"},
            ["app1"],
            {"name": "app1", "node": "n1", "address": "192.0.2.1", "balancer": "nginx", "cordoned": False},
        ),
    ],
)
def test_fleet_hosts(variables, play_hosts, expected):
    assert fleet_hosts(["app1"], {"app1": variables}, play_hosts) == [expected]


def test_fleet_hosts_keeps_the_order_of_the_inventory():
    assert [one["name"] for one in fleet_hosts(["b", "a"], {"a": {}, "b": {}}, [])] == ["b", "a"]


GROWS = {"replicas": [2, 4], "starts": ["shop-app1-20001", "shop-app2-20001"]}
SHRINKS = {"replicas": [4, 2], "stops": ["shop-app1-20001", "shop-app2-20001"]}


@pytest.mark.parametrize(
    ("told", "changes", "services", "expected"),
    [
        # The readings in a summary go on; what is done is the same.
        ({"shop": GROWS}, {"shop": GROWS}, ["shop"], []),
        ({"shop": SHRINKS}, {"shop": GROWS}, ["shop"], ["shop: the line", "shop: a note"]),
        ({"shop": {**GROWS, "replicas": [2, 5]}}, {"shop": GROWS}, ["shop"], ["shop: the line", "shop: a note"]),
        ({}, {"shop": GROWS, "cart": GROWS}, ["shop", "cart"], ["shop: the line", "shop: a note", "cart: the line"]),
        ({"cart": GROWS}, {}, ["cart"], ["cart: the line", "cart: nothing to do any more"]),
        # Another run holds it: it was not planned again.
        ({"shop": GROWS, "cart": GROWS}, {"shop": GROWS}, ["shop"], []),
    ],
)
def test_plan_news(told, changes, services, expected):
    planned = {"plan": {"changes": changes}, "summary": ["shop: the line", "shop: a note", "cart: the line"]}
    assert plan_news(planned, told, services) == expected
