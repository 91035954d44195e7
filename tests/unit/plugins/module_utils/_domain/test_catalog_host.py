# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.catalog_host import Node, host_of
from hypothesis import given
from hypothesis import strategies as st

SERVICE = {"ID": "shop-1", "Service": "shop", "Address": "", "Port": 80, "Tags": ["blue"], "Meta": {"zone": "{{ x }}"}}
NODE = {
    "Node": "app1",
    "Address": "192.0.2.1",
    "Datacenter": "dc1",
    "Meta": {"rack": "{{ y }}"},
    "TaggedAddresses": {"wan": "198.51.100.1"},
}
CRITICAL = {"CheckID": "service:shop-1", "ServiceID": "shop-1", "Status": "critical"}
SERF = {"CheckID": "serfHealth", "ServiceID": "", "Status": "passing"}


def read(node=None, services=(SERVICE,), checks=(SERF,), passing_only=False):
    return host_of(Node({**NODE, **(node or {})}, list(checks), list(services)), passing_only=passing_only)


def test_a_node_is_a_host_with_its_services():
    host, warnings = read()
    assert warnings == ()
    assert (host.name, host.services, host.tags) == ("app1", ("shop",), ("blue",))
    assert host.variables["meta"] == {"rack": "{{ y }}"} and host.variables["tagged_addresses"] == {"wan": "198.51.100.1"}
    (service,) = host.variables["services"]
    assert (service["address"], service["port"], service["passing"], service["meta"]) == ("192.0.2.1", 80, True, {"zone": "{{ x }}"})


def test_only_what_passes_is_kept_where_that_is_asked_for():
    everything, _warnings = read(checks=[SERF, CRITICAL])
    assert everything.services == ("shop",) and not everything.variables["services"][0]["passing"]
    passing, _warnings = read(checks=[SERF, CRITICAL], passing_only=True)
    assert (passing.name, passing.services, passing.tags) == ("app1", (), ())
    assert read(checks=[{**SERF, "Status": "critical"}], passing_only=True) == (None, ())
    lost, _warnings = read(checks=[{**SERF, "Status": "critical"}])
    assert lost.variables["status"] == "critical" and not lost.variables["services"][0]["passing"]


@pytest.mark.parametrize(
    "node",
    [
        {"Node": "evil\n[x"},
        {"Node": "app[1:3]"},
        {"Node": "app1\n"},
        {"Node": "-oProxyCommand=id"},
        {"Node": "!app"},
        {"Node": "a,b"},
        {"Node": "n" * 300},
        {"Node": "localhost"},
        {"Node": "LocalHost"},
        {"Node": "127.0.0.1"},
        {"Node": "all"},
        {"Node": None},
        {"Address": "{{ 1 }}"},
        {"Address": "-oProxyCommand=id"},
        {"Address": ""},
        {"Address": "192.0.2.1\n"},
    ],
)
def test_a_node_that_is_none_is_refused_with_one_warning_on_one_line(node):
    host, (warning,) = read(node)
    assert host is None and "was left out" in warning and "\n" not in warning and len(warning) < 400


@pytest.mark.parametrize(
    "service",
    [
        {"Port": 70000},
        {"Port": -1},
        {"Port": "80"},
        {"Address": "1.2.3.4; } server { listen 9"},
        {"ID": "x\ny"},
        {"ID": ""},
        {"Service": "we b;\n}{ x"},
        {"Service": "s" * 300},
    ],
)
def test_a_service_that_is_none_is_refused_and_the_rest_goes_on(service):
    host, (warning,) = read(services=[{**SERVICE, **service}, {**SERVICE, "ID": "other", "Service": "cart"}])
    assert host.services == ("cart",) and "was left out" in warning and "\n" not in warning


def test_a_tag_with_other_characters_makes_no_group_but_is_kept_as_text():
    host, (warning,) = read(services=[{**SERVICE, "Tags": ["env=prod", "a\nb"]}])
    assert host.tags == ("env=prod",) and "makes no group" in warning
    assert host.variables["services"][0]["tags"] == ["env=prod", "a\nb"]


def test_tagged_addresses_are_checked_too():
    host, (warning,) = read({"TaggedAddresses": {"wan": "-oProxyCommand=id", "lan": "192.0.2.7"}})
    assert host.variables["tagged_addresses"] == {"lan": "192.0.2.7"} and "tagged address 'wan'" in warning


@given(st.text(), st.text(), st.text(), st.lists(st.text()))
def test_no_text_gets_through_unchecked(name, address, service, tags):
    host, warnings = read({"Node": name, "Address": address}, services=[{**SERVICE, "Service": service, "Tags": tags}])
    safe = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")
    assert host is None or (set(host.name + host.variables["address"]) <= safe and host.name[0] not in "-._:")
    assert host is None or all(set(each) <= safe for each in host.services)
    assert host is not None or warnings
