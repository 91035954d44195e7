# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans carried out on a toy of a fleet, whole or killed at any point, until there is nothing left to do."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.budget import Budget
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.plan import PHASES, Situation, plan
from ansible_collections.microservices.autoscale.tests.unit.builders import decision, fleet, host, instance, service
from hypothesis import given, settings
from hypothesis import strategies as st

MOST_RUNS = 40


@dataclasses.dataclass
class Registered:
    where: str
    port: int
    healthy: bool = False
    maintenance: bool = False
    # Critical past its grace.
    failed: bool = False


class Toy:
    """Hosts with processes, a catalog and balancers, which do what the steps of a plan say, one small thing at a time."""

    def __init__(self, of, balancers=1, **fleet_more):
        self.service = of
        self.balancers = tuple(f"lb{number}" for number in range(1, balancers + 1))
        self.record = Record(of)
        self.processes = {}  # the digest by id
        self.catalog = {}
        self.pools = {name: set() for name in self.balancers}
        self.drained = {name: set() for name in self.balancers}
        self.fleet_more = fleet_more
        self.broken = ()

    def add(self, where, port, digest, *, failed=False):
        name = f"{self.service.name}-{where}-{port}"
        self.processes[name] = digest
        self.catalog[name] = Registered(where, port, not failed, failed=failed)
        for pool in self.pools.values():
            pool.add(name)
        confirmed = {lb: {"digest": "", "servers": sorted(pool)} for lb, pool in self.pools.items()}
        self.record = dataclasses.replace(self.record, pools=confirmed)

    def instances(self):
        return tuple(
            instance(self.service, one.where, one.port, self._state(name, one), self.processes.get(name, ""))
            for name, one in sorted(self.catalog.items())
        )

    def _state(self, name, one):
        if one.maintenance:
            return seen.DRAINING
        if one.healthy:
            return seen.READY
        pending = name in {slot.id for slot in self.record.pending}
        return seen.STARTING if pending and not one.failed else seen.UNHEALTHY

    def serving(self):
        """Ready instances that every balancer sends requests to."""
        return {
            name
            for name, one in self.catalog.items()
            if one.healthy and not one.maintenance and all(name in self.pools[lb] - self.drained[lb] for lb in self.balancers)
        }

    def plan(self, desired, **more):
        ports = {}
        for one in self.catalog.values():
            ports.setdefault(one.where, set()).add(one.port)
        (made,) = plan(
            [Situation(self.record, decision(desired, self.record.scale), self.instances())],
            fleet(host("app1"), host("app2"), balancers=self.balancers, ports=ports, **self.fleet_more),
            **more,
        )
        return made

    def carry_out(self, made, kill_after=None):
        """Commit, do the steps and record; returns whether it came to the end."""
        started = tuple(made.starts)
        self.record = dataclasses.replace(
            self.record,
            scale=made.desired if made.steps and not self.record.removing else self.record.scale,
            pending=started + tuple(slot for slot in self.record.pending if slot not in started),
        )
        least = min(len(self.serving()), made.desired)
        for number, small_step in enumerate(self._small_steps(made)):
            if number == kill_after:
                return False
            if small_step() is False:
                return False
            if len(self.serving()) < least:
                raise AssertionError(f"only {self.serving()} serve, of {least} at least, after step {number} of {made.steps}")
        self.record = dataclasses.replace(self.record, pending=(), pools={**self.record.pools, **made.pools})
        return True

    def _small_steps(self, made):
        for phase in PHASES:
            for where, items in made.steps.get(phase, {}).items():
                for item in items:
                    yield from getattr(self, f"_{phase}")(where, item)

    def _start(self, where, item):
        name = item["id"]
        yield lambda: self.processes.__setitem__(name, item["digest"])
        yield lambda: self.catalog.setdefault(name, Registered(where, item["port"])) and None
        yield lambda: self._become_healthy(name)

    def _become_healthy(self, name):
        if self.processes[name] in self.broken:
            del self.processes[name], self.catalog[name]
            return False
        self.catalog[name].healthy = True
        return None

    def _balance(self, lb, item):
        yield lambda: self._set_pool(lb, item)

    _forget = _balance

    def _set_pool(self, lb, item):
        wanted = {server["id"] for server in item["servers"]}
        for name in self.pools[lb] - wanted - self.drained[lb]:
            # A balancer lets a server finish before it goes; but only one that is leaving discovery may go this way.
            if name in self.processes and not self.catalog[name].maintenance:
                raise AssertionError(f"{name} is taken out of {lb} without a drain")
        # What a pool is to have is made ready.
        self.pools[lb], self.drained[lb] = wanted, set()

    def _maintain(self, _where, item):
        yield lambda: setattr(self.catalog[item["id"]], "maintenance", True)

    def _drain(self, lb, item):
        yield lambda: self.drained[lb].add(item.get("id") or item["server"])

    def _stop(self, _where, item):
        name = item["id"]
        yield lambda: self._stop_process(name)
        yield lambda: self.catalog.pop(name, None) and None

    def _stop_process(self, name):
        for lb in self.balancers:
            if name in self.pools[lb] - self.drained[lb]:
                raise AssertionError(f"{name} is stopped while {lb} sends requests to it")
        self.processes.pop(name, None)
        if name in self.catalog:
            self.catalog[name].healthy = False

    def time_passes(self, settles):
        """What a killed run had started becomes healthy by itself, or critical for good."""
        for name, one in self.catalog.items():
            if not one.healthy and name in self.processes and not one.failed:
                one.healthy, one.failed = settles, not settles

    def run_until_quiet(self, desired, **more):
        for run in range(MOST_RUNS):
            made = self.plan(desired, **more)
            if not made.steps:
                return run
            self.carry_out(made)
        raise AssertionError(f"still steps after {MOST_RUNS} runs: {made.steps}")

    def picture(self):
        """What is there: running instances by digest, and whether catalog, processes and pools agree."""
        names = set(self.catalog)
        agree = names == set(self.processes) and all(pool == names for pool in self.pools.values()) and self.serving() == names
        return sorted(self.processes.values()), agree


OLD, NEW = service(version="1.4.2"), service(version="1.4.3")


@pytest.mark.parametrize("balancers", [0, 1, 2])
def test_a_first_deploy_comes_up_in_one_round(balancers):
    toy = Toy(NEW if balancers else service(version="1.4.3", balance=None), balancers)
    assert (toy.run_until_quiet(3, rollout=True, explicit=True), toy.picture()) == (1, ([NEW.digest] * 3, True))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_rollout_takes_as_many_rounds_as_it_says(count):
    toy = Toy(NEW)
    for index in range(count):
        toy.add(f"app{index % 2 + 1}", 20000 + index, OLD.digest)
    toy.run_until_quiet(count)
    said = toy.plan(count, rollout=True).rounds
    assert (toy.run_until_quiet(count, rollout=True), toy.picture()) == (said, ([NEW.digest] * count, True))


def test_a_rollout_to_a_version_that_does_not_start_takes_nothing_away():
    toy = Toy(NEW)
    toy.broken = (NEW.digest,)
    for port in (20000, 20001):
        toy.add("app1", port, OLD.digest)
    for _run in range(5):
        toy.carry_out(toy.plan(2, rollout=True))
    assert toy.picture() == ([OLD.digest] * 2, True)


def test_an_unhealthy_instance_whose_replacement_does_not_start_stays():
    toy = Toy(NEW)
    toy.add("app1", 20000, NEW.digest)
    toy.add("app2", 20000, NEW.digest, failed=True)
    toy.broken = (NEW.digest,)
    for _run in range(5):
        toy.carry_out(toy.plan(2))
    assert (sorted(toy.catalog), toy.pools["lb1"]) == (["shop-app1-20000", "shop-app2-20000"], {"shop-app1-20000", "shop-app2-20000"})


def test_a_small_budget_takes_more_runs_to_the_same_end():
    toy = Toy(NEW, budget=Budget(max_removals=1))
    for port in range(20000, 20006):
        toy.add("app1", port, NEW.digest)
    assert (toy.run_until_quiet(2), toy.picture()) == (4, ([NEW.digest] * 2, True))


@pytest.mark.parametrize("kill_after", range(14))
def test_removing_can_be_killed_anywhere_and_resumed(kill_after):
    toy = Toy(NEW)
    for port in (20000, 20001):
        toy.add("app1", port, NEW.digest)
    toy.run_until_quiet(2)
    toy.record = dataclasses.replace(toy.record, removing=True)
    toy.carry_out(toy.plan(2, explicit=True), kill_after)
    toy.run_until_quiet(2, explicit=True)
    assert (toy.processes, toy.catalog, toy.pools) == ({}, {}, {"lb1": set()})


INITIAL = st.lists(
    st.tuples(st.sampled_from(["app1", "app2"]), st.integers(20000, 20003), st.booleans(), st.sampled_from([False, False, True])),
    max_size=5,
    unique_by=lambda one: one[:2],
)
BUDGETS = st.builds(
    Budget,
    st.sampled_from([1, 2, 10]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 1]),
    st.sampled_from([None, 1]),
)
KILLS = st.lists(st.tuples(st.integers(0, 25), st.booleans(), st.booleans()), max_size=5)


@settings(max_examples=250, deadline=None)
@given(INITIAL, st.integers(0, 4), st.integers(0, 2), KILLS, BUDGETS)
def test_killed_anywhere_any_number_of_times_the_end_is_right(initial, desired, balancers, kills, budget):
    """Deploys and reconciles, each killed after so many small steps; the toy itself refuses what must never happen."""
    of = NEW if balancers else service(version="1.4.3", balance=None)
    toy = Toy(of, balancers, budget=budget)
    for where, port, is_old, failed in initial:
        toy.add(where, port, OLD.digest if is_old else of.digest, failed=failed)
    for kill_after, is_deploy, settles in kills:
        toy.carry_out(toy.plan(desired, rollout=is_deploy, explicit=is_deploy), kill_after)
        toy.time_passes(settles)
    toy.run_until_quiet(desired, rollout=True, explicit=True)
    assert toy.picture() == ([of.digest] * desired, True)
