# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.budget import Budget
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record, Slot
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.plan import PHASES, Situation, instance_item, plan
from ansible_collections.microservices.autoscale.tests.unit.builders import decision, fleet, host, instance, service, situation

SHOP = service()
UNBALANCED = service(balance=None)
NEXT = service(version="1.4.3")
ONE, TWO, THREE = (instance(SHOP, where, port) for where, port in (("app1", 20000), ("app2", 20000), ("app1", 20001)))


def stated(one, state):
    return dataclasses.replace(one, state=state)


def planned(given, of_fleet=None, **more):
    (made,) = plan([given], of_fleet or fleet(), **more)
    return made


def did(made):
    """The steps as (phase, host, ids): of a pool the servers that it has then, of the others the instance."""
    return [
        (phase, where, tuple(server["id"].removeprefix("shop-") for server in item["servers"]) if "servers" in item else _short(item))
        for phase in PHASES
        for where, items in made.steps.get(phase, {}).items()
        for item in items
    ]


def _short(item):
    return (item.get("id") or item.get("server") or item["state"]).removeprefix("shop-")


def settled(instances, desired):
    """A situation in which the pool is confirmed as it is."""
    given = situation(SHOP, instances, desired)
    return dataclasses.replace(given, record=dataclasses.replace(given.record, pools=planned(given).pools))


def test_the_order_of_the_phases_is_out_before_in():
    assert PHASES == ("start", "balance", "maintain", "drain", "stop", "forget")


def test_what_is_as_desired_has_no_steps():
    made = planned(settled([ONE, TWO], 2))
    assert (made.steps, made.rounds, made.pools, made.notes, made.problems) == ({}, 0, {}, [], [])


def test_a_first_deploy():
    made = planned(Situation(Record(SHOP), decision(2, kind="initial"), ()), explicit=True)
    assert did(made) == [("start", "app1", "app1-20000"), ("start", "app2", "app2-20000"), ("balance", "lb1", ("app1-20000", "app2-20000"))]
    assert (made.rounds, [slot.id for slot in made.starts]) == (1, ["shop-app1-20000", "shop-app2-20000"])


def test_scale_out():
    made = planned(settled([ONE, TWO], 3), fleet(ports={"app1": [20000], "app2": [20000]}))
    assert did(made) == [("start", "app1", "app1-20001"), ("balance", "lb1", ("app1-20000", "app1-20001", "app2-20000"))]


def test_scale_in():
    made = planned(situation(SHOP, [ONE, TWO, THREE], 2))
    assert did(made) == [
        ("maintain", "app1", "app1-20001"),
        ("drain", "lb1", "app1-20001"),
        ("stop", "app1", "app1-20001"),
        ("forget", "lb1", ("app1-20000", "app2-20000")),
    ]


def test_a_service_without_balance_touches_no_balancer():
    made = planned(situation(UNBALANCED, [ONE, TWO, THREE], 2, pool=[]))
    assert did(made) == [("maintain", "app1", "app1-20001"), ("stop", "app1", "app1-20001")]


def test_every_balancer_gets_its_steps_and_is_confirmed():
    made = planned(situation(SHOP, [ONE, TWO], 2), fleet(balancers=("lb1", "lb2")))
    assert sorted(made.pools) == ["lb1", "lb2"]
    assert {where for _phase, where, _what in did(made)} == {"lb1", "lb2"}


def test_what_is_confirmed_is_not_done_again():
    first = planned(situation(SHOP, [ONE, TWO], 2))
    again = planned(Situation(Record(SHOP, scale=2, pools=first.pools), decision(2), (ONE, TWO)))
    assert again.steps == {}


@pytest.mark.parametrize("changes", [{"weight": 7}, {"algorithm": "source"}, {"listen": 8081}, {"max_connections": 4}])
def test_changed_balancing_is_brought_out_without_touching_an_instance(changes):
    confirmed = planned(situation(SHOP, [ONE, TWO], 2)).pools
    made = planned(Situation(Record(service(balance=changes), scale=2, pools=confirmed), decision(2), (ONE, TWO)))
    assert did(made) == [("balance", "lb1", ("app1-20000", "app2-20000"))]


def test_what_a_balancer_cannot_do_is_a_problem_and_no_step():
    """Its release may be older than the balancer."""
    of = service(balance={"max_connections": 4})
    nginx = fleet(host("app1"), host("app2"), host("lb1", balancer="nginx"))
    made = planned(situation(of, [ONE, TWO, THREE], 2), nginx)
    assert made.steps == {} and (made.rounds, made.stops) == (0, [])
    assert "balance.max_connections" in made.problems[0] and made.problems[0].startswith("shop: nothing is done")
    removed = planned(Situation(Record(of, scale=2, removing=True), decision(2), (ONE, TWO)), nginx, explicit=True)
    assert removed.problems == [] and removed.steps
    assert planned(situation(SHOP, [ONE, TWO, THREE], 2), nginx).steps


# Unhealthy, lost, parked, draining


def test_new_before_old_for_an_unhealthy_instance():
    bad = stated(TWO, seen.UNHEALTHY)
    made = planned(situation(SHOP, [ONE, bad], 2, pool=[ONE.id, TWO.id]), fleet(ports={"app1": [20000], "app2": [20000]}))
    assert did(made) == [
        ("start", "app1", "app1-20001"),
        ("balance", "lb1", ("app1-20000", "app1-20001", "app2-20000")),
        ("maintain", "app2", "app2-20000"),
        ("drain", "lb1", "app2-20000"),
        ("stop", "app2", "app2-20000"),
        ("forget", "lb1", ("app1-20000", "app1-20001")),
    ]


def test_a_lost_instance_is_replaced_and_its_host_left_alone():
    made = planned(
        situation(SHOP, [ONE, stated(TWO, seen.LOST)], 2, pool=[ONE.id, TWO.id]),
        fleet(host("app1"), host("app2", alive=False), ports={"app1": [20000]}),
    )
    assert did(made) == [
        ("start", "app1", "app1-20001"),
        ("balance", "lb1", ("app1-20000", "app1-20001", "app2-20000")),
        ("drain", "lb1", "app2-20000"),
        ("forget", "lb1", ("app1-20000", "app1-20001")),
    ]


@pytest.mark.parametrize(
    ("state", "hosts"),
    [
        (seen.LOST, [host("app1", alive=False)]),
        (seen.UNHEALTHY, [host("app1", cordoned=True)]),
        (seen.SUSPECT, [host("app1", alive=False)]),
    ],
)
def test_without_a_place_for_replacements_nothing_leaves_the_rotation(state, hosts):
    given = situation(SHOP, [stated(ONE, state), stated(THREE, state)], 3, pool=[ONE.id, THREE.id])
    made = planned(given, fleet(*hosts))
    assert [step for step in did(made) if step[0] in ("maintain", "drain", "stop", "forget")] == []
    assert made.problems[0].startswith("shop: no place for ")


def test_a_dead_only_host_changes_no_pool():
    confirmed = planned(situation(SHOP, [ONE, THREE], 2)).pools
    lost = (stated(ONE, seen.LOST), stated(THREE, seen.LOST))
    made = planned(Situation(Record(SHOP, scale=2, pools=confirmed), decision(2), lost), fleet(host("app1", alive=False)))
    assert (made.steps, made.problems) == (
        {},
        [
            "shop: no place for 2 more instances: app1 is silent (its Consul agent does not answer); "
            "bring a host of group app back or add one"
        ],
    )


def test_a_suspect_instance_counts_and_stays():
    assert planned(settled([ONE, stated(TWO, seen.SUSPECT)], 2)).steps == {}


def test_a_parked_instance_counts_and_is_only_taken_out_of_rotation():
    made = planned(situation(SHOP, [ONE, stated(TWO, seen.PARKED)], 2, pool=[ONE.id, TWO.id]))
    assert did(made) == [("drain", "lb1", "app2-20000"), ("forget", "lb1", ("app1-20000",))]


def test_a_parked_instance_is_not_chosen_to_leave():
    made = planned(situation(SHOP, [ONE, stated(TWO, seen.PARKED), THREE], 1))
    assert [one.id for one in made.stops] == ["shop-app1-20001", "shop-app1-20000"]


def test_a_drain_that_was_begun_is_brought_to_its_end():
    made = planned(situation(SHOP, [ONE, TWO, stated(THREE, seen.DRAINING)], 2, pool=[ONE.id, TWO.id, THREE.id]))
    assert did(made) == [
        ("maintain", "app1", "app1-20001"),
        ("drain", "lb1", "app1-20001"),
        ("stop", "app1", "app1-20001"),
        ("forget", "lb1", ("app1-20000", "app2-20000")),
    ]


def test_an_instance_that_is_gone_leaves_the_pool_and_is_not_left_running_unseen():
    made = planned(situation(SHOP, [ONE, TWO], 2, pool=[ONE.id, TWO.id, "shop-app1-20001"]))
    assert did(made) == [
        ("drain", "lb1", "app1-20001"),
        ("stop", "app1", "app1-20001"),
        ("forget", "lb1", ("app1-20000", "app2-20000")),
    ]
    assert made.stops == []


@pytest.mark.parametrize("removing", [False, True])
def test_nobody_is_stopped_who_was_not_drained(removing):
    """Also who is not registered any more, and who was brought in and on its way out by runs that could not record it."""
    begun = stated(instance(SHOP, "app2", 20001), seen.DRAINING)
    given = situation(SHOP, [ONE, TWO, THREE, begun], 2, pool=[ONE.id, TWO.id, THREE.id, "shop-app1-20007"])
    made = planned(dataclasses.replace(given, record=dataclasses.replace(given.record, removing=removing)), explicit=True)
    steps = {phase: {what for name, _host, what in did(made) if name == phase} for phase in ("drain", "stop")}
    assert steps["stop"] >= {"app1-20001", "app1-20007", "app2-20001"} and steps["drain"] == steps["stop"]


def test_a_pool_that_is_not_wanted_any_more_is_drained_of_who_leaves():
    given = situation(UNBALANCED, [ONE, TWO, THREE], 2, pool=[ONE.id, TWO.id, THREE.id])
    assert did(planned(given)) == [
        ("maintain", "app1", "app1-20001"),
        ("drain", "lb1", "app1-20001"),
        ("stop", "app1", "app1-20001"),
        ("forget", "lb1", "absent"),
    ]


def test_a_former_balancer_keeps_nobody_from_being_stopped():
    given = situation(UNBALANCED, [ONE, TWO, THREE], 2, pool=[ONE.id, TWO.id, THREE.id])
    made = planned(given, fleet(host("app1"), host("app2"), host("lb1"), balancers=()))
    assert did(made) == [("maintain", "app1", "app1-20001"), ("stop", "app1", "app1-20001"), ("forget", "lb1", "absent")]


def test_what_a_former_balancer_had_is_nobodys_business():
    given = settled([ONE, TWO], 2)
    pools = {**given.record.pools, "app2": {"servers": [ONE.id, "shop-app1-20001"]}}
    made = planned(dataclasses.replace(given, record=dataclasses.replace(given.record, pools=pools)))
    assert (made.steps, made.rounds) == ({}, 0)


def test_what_was_deregistered_is_started_where_it_may_still_run():
    pool = ["shop-app1-20007", TWO.id, "shop-elsewhere-20001", "shop-app1-web", "other-app1-20001"]
    made = planned(situation(SHOP, [TWO], 2, pool=pool))
    assert made.starts == [Slot("shop-app1-20007", "app1", 20007)]
    made = planned(situation(SHOP, [], 2, pool=["shop-app1-20007", "shop-app2-20008"]), explicit=True)
    assert made.starts == [Slot("shop-app1-20007", "app1", 20007), Slot("shop-app2-20008", "app2", 20008)]


def test_nobody_else_gets_the_place_of_what_was_deregistered():
    one = situation(SHOP, [TWO], 1, pool=[TWO.id, "shop-app1-20000"])
    other = situation(service("cart"), [], 2)
    made = plan([other, one], fleet())
    assert ("app1", 20000) not in [(slot.host, slot.port) for slot in made[0].starts]


def test_a_start_that_was_begun_is_brought_to_its_end_before_anything_goes():
    young = instance(NEXT, "app2", 20001, seen.STARTING)
    made = planned(situation(NEXT, [ONE, TWO, young], 2, pending=(Slot(young.id, "app2", 20001),)), rollout=True)
    assert did(made)[0] == ("start", "app2", "app2-20001")
    assert len(made.stops) == 1


# Hosts outside the run, unknown nodes


def test_a_cordoned_balancer_stops_everything_about_its_service():
    made = planned(situation(SHOP, [ONE], 2), fleet(host("app1"), host("lb1", cordoned=True)))
    assert (made.steps, made.starts, made.pools, made.rounds) == ({}, [], {}, 0)
    assert made.notes == ["nothing is done: its balancer lb1 is outside this run (--limit)"]
    assert made.problems == []


def test_a_cordoned_balancer_is_an_error_where_a_person_asked():
    made = planned(situation(SHOP, [ONE], 2), fleet(host("app1"), host("lb1", cordoned=True)), explicit=True)
    assert (made.steps, made.problems) == (
        {},
        ["shop: nothing is done: its balancer lb1 is outside this run (--limit); name it in --limit, too"],
    )


def test_a_balancer_without_a_step_is_in_reach():
    # An instance of a run that was killed, which nobody needs: only its host has a step.
    given = settled([ONE, TWO], 2)
    record = dataclasses.replace(given.record, pending=(Slot("shop-app1-20009", "app1", 20009),))
    made = planned(dataclasses.replace(given, record=record))
    assert (sorted(made.steps), made.reach) == (["drain", "forget", "stop"], {"app1", "lb1"})


def test_whoever_may_leave_is_in_reach():
    # Under the lock the choice is made again: health or traffic may have changed, and another one leaves.
    made = planned(situation(SHOP, [ONE, TWO, THREE], 2), fleet(host("app1"), host("app2"), host("lb1")))
    assert [one.host for one in made.stops] == ["app1"]
    assert made.reach == {"app1", "app2", "lb1"}


def test_a_host_that_is_silent_is_called_so_also_outside_the_run():
    made = planned(situation(SHOP, [ONE, TWO, THREE], 2), fleet(host("app1", alive=False, cordoned=True), host("app2")))
    assert made.notes == ["shop-app1-20001 stays: its host app1 is silent"]


def test_a_cordoned_balancer_does_not_matter_to_a_service_without_balance():
    assert planned(situation(UNBALANCED, [ONE], 2, pool=[]), fleet(host("app1"), host("lb1", cordoned=True))).starts != []


@pytest.mark.parametrize(
    ("where", "note"),
    [
        (host("app1", cordoned=True), "shop-app1-20001 stays: its host app1 is outside this run (--limit)"),
        (host("app1", alive=False), "shop-app1-20001 stays: its host app1 is silent"),
    ],
)
def test_an_instance_on_a_host_out_of_reach_stays_and_it_is_told(where, note):
    made = planned(situation(SHOP, [ONE, TWO, THREE], 2), fleet(where, host("app2")))
    assert (made.stops, made.notes) == ([], [note])


def test_an_instance_on_an_unknown_node_is_a_problem():
    stray = dataclasses.replace(stated(THREE, seen.DRAINING), host=None, node="elsewhere")
    made = planned(situation(UNBALANCED, [ONE, TWO, stray], 2, pool=[]))
    assert made.problems == ["shop: shop-app1-20001 is on node elsewhere, which the inventory does not know"]


def test_a_host_that_left_the_group_is_emptied_by_a_rollout_only():
    given = situation(SHOP, [ONE, TWO], 2)
    shrunk = fleet(host("app1"), host("app2"), group=["app1"], ports={"app1": [20000]})
    assert [one.id for one in planned(given, shrunk, rollout=True).stops] == ["shop-app2-20000"]
    assert planned(given, shrunk).stops == []


def test_without_balancers_a_balanced_service_is_a_problem():
    made = planned(situation(SHOP, [ONE], 1, pool=[]), fleet(balancers=()))
    assert made.problems == ["shop: has a balance block, but the inventory group autoscale_balancers has no hosts"]


# Rollouts


def test_a_rollout_starts_one_and_stops_one():
    made = planned(situation(NEXT, [ONE, TWO], 2), fleet(ports={"app1": [20000], "app2": [20000]}), rollout=True)
    assert ([slot.id for slot in made.starts], [one.id for one in made.stops], made.rounds) == (["shop-app1-20001"], ["shop-app1-20000"], 2)


def test_an_outdated_instance_out_of_reach_does_not_keep_the_others_waiting():
    made = planned(situation(NEXT, [ONE, TWO], 2), fleet(host("app1", cordoned=True), host("app2"), ports={"app2": [20000]}), rollout=True)
    assert ([one.id for one in made.stops], made.rounds) == (["shop-app2-20000"], 1)
    assert made.notes == [
        "nothing starts on app1: outside this run (--limit)",
        "shop-app1-20000 stays: its host app1 is outside this run (--limit)",
    ]


def test_without_anything_to_replace_within_reach_there_is_no_surge():
    renewed = instance(NEXT, "app2", 20000)
    made = planned(situation(NEXT, [ONE, renewed], 2), fleet(host("app1", cordoned=True), host("app2")), rollout=True)
    assert (made.starts, made.stops) == ([], [])


def test_a_rollout_that_has_no_place_for_its_surge_stops_nothing_and_says_so():
    full = fleet(host("app1"), ports={"app1": range(20000, 20010)})
    made = planned(situation(NEXT, [ONE, THREE], 2), full, rollout=True)
    assert made.stops == []
    assert made.problems[0].startswith("shop: no place for 1 more instance: port_range 20000-20009 is full on app1")


def test_while_a_rollout_is_unfinished_a_service_grows():
    made = planned(situation(NEXT, [ONE, instance(NEXT, "app2", 20000)], 3))
    assert len(made.starts) == 1


def test_while_a_rollout_is_unfinished_a_service_does_not_shrink():
    made = planned(situation(NEXT, [ONE, instance(NEXT, "app2", 20000), THREE], 2))
    assert (made.stops, made.notes) == ([], ["may not shrink while a rollout is unfinished: run the playbook deploy to finish it"])


# An empty catalog, budgets, pending places, removal


def test_an_empty_answer_never_empties_a_pool():
    made = planned(situation(SHOP, [], 2, pool=[ONE.id, TWO.id]))
    assert (made.steps, made.pools, len(made.problems)) == ({}, {}, 1)
    assert "an empty answer is not believed" in made.problems[0]


def test_an_empty_answer_is_believed_when_a_person_asks():
    made = planned(situation(SHOP, [], 2, pool=[ONE.id, TWO.id]), explicit=True)
    assert (len(made.starts), made.problems) == (2, [])


def test_an_empty_answer_is_no_wonder_before_anything_was_in_rotation():
    assert len(planned(situation(SHOP, [], 2)).starts) == 2


# To zero and from zero


def test_a_service_goes_to_zero_and_its_pool_stays_on_the_balancer():
    made = planned(situation(SHOP, [ONE, TWO], 0))
    assert did(made)[-1] == ("forget", "lb1", ())
    assert made.steps["forget"]["lb1"][0]["state"] == "present"
    assert sorted(one.id for one in made.stops) == [ONE.id, TWO.id]


def test_a_parked_instance_is_left_alone_on_the_way_to_zero():
    made = planned(situation(SHOP, [ONE, stated(TWO, seen.PARKED)], 0, pool=[ONE.id]))
    assert [one.id for one in made.stops] == [ONE.id]


def test_a_rollout_that_is_unfinished_keeps_a_service_from_zero():
    made = planned(situation(NEXT, [ONE, instance(NEXT, "app2", 20000)], 0))
    assert (made.stops, made.notes) == ([], ["may not shrink while a rollout is unfinished: run the playbook deploy to finish it"])


def at_zero(desired, scale=0, servers=()):
    pools = {"lb1": {"digest": "confirmed", "servers": list(servers)}}
    return Situation(Record(SHOP, scale=scale, pools=pools), decision(desired, scale), ())


def test_a_service_at_zero_is_at_rest():
    empty = planned(at_zero(0)).pools
    made = planned(Situation(Record(SHOP, scale=0, pools=empty), decision(0), ()))
    assert (made.steps, made.problems, made.notes) == ({}, [], [])


def test_what_a_balancer_was_confirmed_to_have_is_brought_again_when_it_is_asked_for_or_of_another_kind():
    settled = Situation(Record(SHOP, scale=0, pools=planned(at_zero(0)).pools), decision(0), ())
    brought = [("balance", "lb1", ())]
    assert did(planned(settled)) == [] and did(planned(settled, rebalance=True)) == brought
    other = fleet(host("app1"), host("app2"), host("lb1", balancer="nginx"))
    assert did(planned(settled, other)) == brought


def test_from_zero():
    made = planned(at_zero(1))
    assert (did(made), made.problems) == ([("start", "app1", "app1-20000"), ("balance", "lb1", ("app1-20000",))], [])


def test_what_a_killed_run_left_of_a_service_at_zero_is_taken_away():
    """Its pool was not confirmed to be empty; with a count of 0 an empty answer is what there should be."""
    made = planned(at_zero(0, servers=[ONE.id]))
    steps = [("drain", "lb1", "app1-20000"), ("stop", "app1", "app1-20000"), ("forget", "lb1", ())]
    assert (did(made), made.problems) == (steps, [])


def test_an_empty_answer_on_the_way_to_zero_is_suspect():
    """The count is not 0 yet: where did its instances go?"""
    made = planned(at_zero(0, scale=1, servers=[ONE.id]))
    assert (made.steps, len(made.problems)) == ({}, 1)
    assert "an empty answer is not believed" in made.problems[0]


def many(name, count):
    of = service(name)
    return situation(of, [instance(of, "app1", 20000 + index) for index in range(count)], 1)


def test_the_budget_covers_the_whole_fleet():
    plans = plan([many("cart", 4), many("shop", 4), many("stock", 4)], fleet(budget=Budget(max_removals=5)))
    assert [len(made.stops) for made in plans] == [2, 2, 1]
    assert plans[0].notes == ["1 instance waits for the next run: at most 5 leave the fleet per run"]


def growing(name, count):
    return situation(service(name), [], count)


def test_what_all_services_add_has_its_part_before_anything_is_taken_away():
    """Also of the services that come later."""
    limits = fleet(budget=Budget(max_percent=30), size=10)
    shrinks, grows = plan([many("cart", 4), growing("shop", 2)], limits)
    assert (len(grows.starts), len(shrinks.stops)) == (2, 1)
    assert shrinks.notes == ["2 instances wait for the next run: at most 3 are added or leave, 30 per cent of the fleet, per run"]
    assert grows.notes == []


def test_only_so_many_services_change_and_the_others_are_as_if_nothing_was_decided():
    first, second, third = plan([growing("cart", 2), growing("shop", 2), many("stock", 2)], fleet(budget=Budget(max_services=1)))
    assert len(first.starts) == 2
    for made in (second, third):
        assert (made.steps.keys() & {"start", "maintain", "stop"}, made.starts, made.stops) == (set(), [], [])
    assert second.notes == ["2 instances wait for the next run: at most 1 service is changed per run"]


def test_what_waits_outside_the_run_takes_nothing_from_the_others():
    of = fleet(host("app1"), host("app2"), host("lb1", cordoned=True), budget=Budget(max_additions=1))
    balanced, unbalanced = plan([growing("cart", 2), situation(UNBALANCED, [], 2, pool=[])], of)
    assert (balanced.steps, len(unbalanced.starts)) == ({}, 1)


def test_a_place_that_waits_for_the_budget_is_not_stopped():
    """An instance may run there and serve, of which Consul knows nothing for now."""
    given = situation(SHOP, [TWO], 3, pool=[TWO.id, "shop-app1-20007", "shop-app1-20008"])
    made = planned(given, fleet(budget=Budget(max_additions=1)))
    assert [slot.id for slot in made.starts] == ["shop-app1-20007"]
    assert [step for step in did(made) if step[0] == "stop"] == []


def test_what_is_on_its_way_out_goes_on_and_counts():
    given = situation(SHOP, [ONE, TWO, stated(THREE, seen.DRAINING)], 1, pool=[ONE.id, TWO.id, THREE.id])
    made = planned(given, fleet(budget=Budget(max_removals=1)))
    assert [one.id for one in made.stops] == [THREE.id]


def test_what_waits_for_the_budget_stays_in_rotation():
    (made,) = plan([many("shop", 4)], fleet(budget=Budget(max_removals=1)))
    assert len(made.pools["lb1"]["servers"]) == 3


PENDING = (Slot("shop-app1-20003", "app1", 20003), Slot("shop-app2-20003", "app2", 20003))


@pytest.mark.parametrize(
    ("desired", "hosts", "expected"),
    [
        # Used again where they are needed, stopped where they are not.
        (4, (), [("start", "app1", "app1-20003"), ("start", "app2", "app2-20003")]),
        (3, (), [("start", "app1", "app1-20003"), ("stop", "app2", "app2-20003")]),
        (2, (), [("stop", "app1", "app1-20003"), ("stop", "app2", "app2-20003")]),
        # A host out of reach is not asked.
        (2, (host("app1"), host("app2", alive=False)), [("stop", "app1", "app1-20003")]),
        (2, (host("app1"), host("app2", cordoned=True)), [("stop", "app1", "app1-20003")]),
        (2, (host("app1"),), [("stop", "app1", "app1-20003")]),
    ],
)
def test_places_reserved_by_a_killed_run(desired, hosts, expected):
    made = planned(situation(UNBALANCED, [ONE, TWO], desired, pool=[], pending=PENDING), fleet(*hosts))
    assert did(made) == expected


def test_a_reserved_place_that_is_registered_is_an_instance_like_others():
    made = planned(situation(UNBALANCED, [ONE, TWO], 2, pool=[], pending=(Slot(TWO.id, "app2", 20000),)))
    assert made.steps == {}


def test_nobody_else_gets_a_reserved_port():
    pending = situation(UNBALANCED, [ONE, TWO], 2, pool=[], pending=(Slot("shop-app1-20001", "app1", 20001),))
    cart = service("cart", balance=None)
    _shop, made = plan([pending, situation(cart, [], 1, pool=[])], fleet(host("app1"), ports={"app1": [20000]}))
    assert [slot.port for slot in made.starts] == [20002]


def test_removing_takes_everything_away():
    bad = stated(THREE, seen.UNHEALTHY)
    given = situation(SHOP, [ONE, stated(TWO, seen.PARKED), bad], 2, pool=[ONE.id, bad.id], removing=True)
    made = planned(given, explicit=True)
    assert (made.desired, sorted(one.id for one in made.stops)) == (0, [ONE.id, THREE.id, TWO.id])
    assert [(phase, what) for phase, where, what in did(made) if where == "lb1"] == [
        ("drain", "app1-20000"),
        ("drain", "app1-20001"),
        ("drain", "app2-20000"),
        ("forget", ()),
    ]
    assert made.steps["forget"]["lb1"][0]["state"] == "absent"


def test_removing_goes_on_when_a_person_asks_only():
    made = planned(situation(SHOP, [ONE], 2, removing=True))
    assert (made.steps, made.notes) == ({}, ["is being removed: run the playbook remove again to finish"])


def test_errors_of_the_decision_are_problems_and_the_rest_goes_on():
    given = situation(SHOP, [ONE, stated(TWO, seen.UNHEALTHY)], 2, pool=[ONE.id, TWO.id])
    held = dataclasses.replace(given, decision=decision(2, kind="held", errors=("requests: no answer",)))
    made = planned(held)
    assert (made.problems, len(made.starts)) == (["shop: requests: no answer"], 1)


def test_the_item_of_an_instance_has_all_that_its_host_needs():
    of = service(run={"resources": {"cpu": 1}, "environment": {"A": {"secret": "a"}}}, check={"http": "/healthz"}, tags=["web"])
    assert instance_item(of, "shop-app1-20000", "app1", "192.0.2.11", 20000) == {
        "service": "shop",
        "id": "shop-app1-20000",
        "host": "app1",
        "address": "192.0.2.11",
        "port": 20000,
        "version": "1.4.2",
        "digest": of.digest,
        "run": {
            "provider": "supervisor",
            "artifact": None,
            "command": "/srv/shop --port {port}",
            "user": None,
            "environment": {"A": {"secret": "a"}},
            "pre_start": None,
            "resources": {"cpu": 1.0, "memory": None},
            "stop_grace": 30.0,
        },
        "check": {"http": "/healthz", "tcp": False, "interval": 10.0, "timeout": 5.0},
        "tags": ["web"],
        "meta": {"autoscale-service": "shop", "autoscale-version": "1.4.2", "autoscale-digest": of.digest},
        "weight": 100,
        "healthy_deadline": 300.0,
        "min_healthy_time": 0.0,
    }


@pytest.mark.parametrize(
    ("balance", "listen"),
    [({"listen": 8080}, (host("lb1").address, 8080)), ({"listen": "203.0.113.9:80"}, ("203.0.113.9", 80))],
)
def test_a_pool_listens_on_the_balancer_itself_unless_said_otherwise(balance, listen):
    (item,) = planned(situation(service(balance=balance), [ONE, TWO], 2)).steps["balance"]["lb1"]
    assert (item["listen"]["address"], item["listen"]["port"]) == listen


CHECKED = service(version="1.4.3", check={"http": "/healthz"})


@pytest.mark.parametrize(
    ("instances", "checked", "expected"),
    [
        # While instances of both descriptions are in the pool, a path that only some of them know would take the others down.
        ([ONE, TWO], "/old", [None, None]),
        ([instance(CHECKED, "app1", 20000), TWO], "/old", [None, "/healthz"]),
        ([ONE, TWO], "/healthz", ["/healthz", "/healthz"]),
    ],
)
def test_a_check_that_changes_waits_for_the_end_of_the_rollout(instances, checked, expected):
    given = situation(CHECKED, instances, 2)
    pools = {"lb1": {**given.record.pools["lb1"], "check": checked}}
    taken = fleet(ports={"app1": [20000], "app2": [20000]})
    made = planned(dataclasses.replace(given, record=dataclasses.replace(given.record, pools=pools)), taken, rollout=True)
    assert [made.steps[phase]["lb1"][0]["check"]["http"] for phase in ("balance", "forget")] == expected
