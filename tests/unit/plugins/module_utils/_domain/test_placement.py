# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Slot
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.placement import Occupancy, leaving, place
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.traffic import Traffic
from ansible_collections.microservices.autoscale.tests.unit.builders import host, instance, service

SHOP = service()
TWO = [host("app1"), host("app2")]


def placed(count, hosts=TWO, reserved=(), ports=None, there=(), of=SHOP):
    slots, problem = place(of, count, hosts, reserved, Occupancy(ports or {}, there))
    return [(slot.host, slot.port) for slot in slots], problem


@pytest.mark.parametrize(
    ("count", "ports", "there", "expected"),
    [
        (0, {}, [], []),
        # Spread, by name where it is all the same; the first free port of each host.
        (3, {}, [], [("app1", 20000), ("app2", 20000), ("app1", 20001)]),
        (1, {"app1": [20000, 20001]}, [], [("app1", 20002)]),
        # The host with fewer of this service first, then the one with fewer of all.
        (1, {}, [("app1", "shop")], [("app2", 20000)]),
        (1, {}, [("app1", "cart")], [("app2", 20000)]),
        (1, {}, [("app1", "shop"), ("app2", "cart"), ("app2", "cart")], [("app2", 20000)]),
        # A host whose ports are all taken is passed over.
        (2, {"app1": range(20000, 20010)}, [], [("app2", 20000), ("app2", 20001)]),
        # Ports outside the service's range do not matter.
        (1, {"app1": [19999, 20010]}, [], [("app1", 20000)]),
    ],
)
def test_where_instances_are_placed(count, ports, there, expected):
    assert placed(count, ports=ports, there=there) == (expected, None)


def test_an_id_names_service_host_and_port():
    (slot,), _problem = place(SHOP, 1, TWO, (), Occupancy({}, ()))
    assert slot == Slot("shop-app1-20000", "app1", 20000)


def test_services_do_not_get_each_others_ports():
    occupancy = Occupancy({}, ())
    (first,), _none = place(SHOP, 1, TWO[:1], (), occupancy)
    (second,), _none = place(service("cart"), 1, TWO[:1], (), occupancy)
    assert (first.port, second.port) == (20000, 20001)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([host("app1", cordoned=True), host("app2")], [("app2", 20000), ("app2", 20001)]),
        ([host("app1"), host("app2", alive=False)], [("app1", 20000), ("app1", 20001)]),
    ],
)
def test_only_hosts_that_answer_and_are_in_the_run_get_instances(hosts, expected):
    assert placed(2, hosts) == (expected, None)


RESERVED = (Slot("shop-app2-20005", "app2", 20005), Slot("shop-app2-20006", "app2", 20006))


@pytest.mark.parametrize(
    ("count", "hosts", "expected"),
    [
        (0, TWO, []),
        (1, TWO, [("app2", 20005)]),
        (3, TWO, [("app2", 20005), ("app2", 20006), ("app1", 20000)]),
        (1, [host("app1"), host("app2", cordoned=True)], [("app1", 20000)]),
        (1, [host("app1"), host("app2", alive=False)], [("app1", 20000)]),
        (1, [host("app1")], [("app1", 20000)]),
    ],
)
def test_reserved_places_are_used_first_where_they_can_be(count, hosts, expected):
    assert placed(count, hosts, RESERVED)[0] == expected


FULL = {"app1": range(20000, 20010), "app2": range(20000, 20010)}


@pytest.mark.parametrize(
    ("count", "hosts", "ports", "places", "problem"),
    [
        (2, TWO, FULL, 0, "shop: no place for 2 more instances: port_range 20000-20009 is full on app1, app2; "
         "widen it or add hosts to group app"),
        (3, TWO[:1], {"app1": range(20000, 20009)}, 1,
         "shop: no place for 2 more instances: port_range 20000-20009 is full on app1; widen it or add hosts to group app"),
        (1, [], {}, 0, "shop: no place for 1 more instance: the inventory group app has no hosts"),
        (1, [host("app1", alive=False), host("app2", cordoned=True)], {}, 0,
         "shop: no place for 1 more instance: app1 is silent (its Consul agent does not answer), app2 is outside this run (--limit); "
         "bring a host of group app back or add one"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_told_and_the_rest_is_placed(count, hosts, ports, places, problem):
    slots, told = placed(count, hosts, ports=ports)
    assert (len(slots), told) == (places, problem)


def left(count, *instances, traffic=None):
    seen_of = {f"shop-{name}": one for name, one in (traffic or {}).items()}
    return [one.id.removeprefix("shop-") for one in leaving(instances, count, SHOP.digest, seen_of)]


def on(where, port, state=seen.READY, digest=None):
    return instance(SHOP, where, port, state, digest)


@pytest.mark.parametrize(
    ("count", "instances", "expected"),
    [
        (0, [on("app1", 1)], []),
        (9, [on("app1", 1)], ["app1-1"]),
        # What serves nobody first, then what is outdated.
        (
            4,
            [on("app1", 1), on("app1", 2, digest="old"), on("app1", 3, seen.SUSPECT), on("app1", 4, seen.STARTING)],
            ["app1-4", "app1-3", "app1-2", "app1-1"],
        ),
        # From the host that has the most, one by one; there the highest port.
        (2, [on("app1", 1), on("app2", 1), on("app2", 2), on("app2", 3)], ["app2-3", "app2-2"]),
        (3, [on("app1", 1), on("app1", 2), on("app2", 1), on("app2", 2), on("app2", 3)], ["app2-3", "app1-2", "app2-2"]),
        # What is not counted, or not ours to touch, does not leave.
        (9, [on("app1", 1, state) for state in (seen.PARKED, seen.DRAINING, seen.UNHEALTHY, seen.LOST)], []),
    ],
)
def test_which_instances_leave_first(count, instances, expected):
    assert left(count, *instances) == expected


BUSY, FREE = Traffic(in_flight=7, queued=2, request_rate=1), Traffic(in_flight=8, request_rate=90)


@pytest.mark.parametrize(
    ("instances", "traffic", "expected"),
    [
        # The least busy first: what it has to do now, then what it is asked for. Who is not known of is not busy.
        ([on("app1", 1), on("app1", 2)], {"app1-2": BUSY, "app1-1": FREE}, ["app1-1"]),
        ([on("app1", 1), on("app1", 2)], {"app1-2": FREE}, ["app1-1"]),
        ([on("app1", 1), on("app1", 2)], {"app1-2": Traffic(request_rate=3), "app1-1": Traffic(request_rate=2)}, ["app1-1"]),
        # A host that has more goes before one that is less busy: what stays is spread. And so does what is not ready.
        ([on("app1", 1), on("app2", 1), on("app2", 2)], {"app2-2": BUSY, "app2-1": BUSY}, ["app2-2"]),
        ([on("app1", 1, seen.STARTING), on("app1", 2)], {"app1-1": BUSY}, ["app1-1"]),
    ],
)
def test_the_least_busy_leaves_first(instances, traffic, expected):
    assert left(1, *instances, traffic=traffic) == expected


def test_the_choice_does_not_depend_on_the_order_of_the_catalog():
    instances = [on(where, port) for where in ("app1", "app2", "app3") for port in (1, 2)]
    assert left(3, *instances) == left(3, *reversed(instances))
