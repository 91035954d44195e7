# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading from a real Consul: what is asked, what comes back, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.catalog_query import CatalogQuery
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.selection import read_selection
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import discovery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import wait_until

OPTIONS = {"tags": [], "filter": None, "near": None, "datacenter": None, "consistency": "default", "cached": False}
ENTERPRISE = {"namespace": None, "partition": None, "peer": None}
INSTANCES = [
    {"ID": "one", "Port": 80, "Tags": ["blue", "eu"], "Meta": {"zone": "a", "two-words": "x y"}, "Weights": {"Passing": 5, "Warning": 1}},
    {"ID": "two", "Port": 81, "Tags": ["Blue"], "Meta": {"zone": "b"}, "EnableTagOverride": True},
    {"ID": "three", "Port": 82, "Tags": [], "Check": {"Name": "own", "TTL": "300s", "Notes": "x"}},
    {"ID": "four", "Port": 83, "Tags": ["eu"], "Meta": {"zone": ""}, "Check": {"Name": "own", "TTL": "300s", "Status": "passing"}},
]


@pytest.fixture(scope="module")
def client(consul):
    client = Consul(consul.url)
    for each in INSTANCES:
        client.register_service({"Name": "read", "Address": "192.0.2.1", **each})
    wait_until(lambda: len(client.health_service("read")[0]) == len(INSTANCES), "the catalog has all instances")
    return client


def query(**options):
    return CatalogQuery.from_options({**OPTIONS, **ENTERPRISE, **options})


def ids(instances):
    return [each["id"] for each in instances]


def count_reads(client, monkeypatch):
    sent = []
    real = client._http.request

    def request(method, path, **options):
        sent.append(options.get("params") or {})
        return real(method, path, **options)

    monkeypatch.setattr(client._http, "request", request)
    return sent


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"one", "two", "three", "four"}),
        ({"tags": ["blue"]}, {"one", "two"}),
        ({"tags": ["blue", "eu"]}, {"one"}),
        ({"filter": "Service.Meta.zone == a"}, {"one"}),
        ({"filter": "Service.Meta.zone matches `^.$`"}, {"one", "two"}),
        ({"filter": "not Checks.Status != passing"}, {"one", "two", "four"}),
        ({"near": "_agent"}, {"one", "two", "three", "four"}),
        ({"near": "server", "consistency": "consistent"}, {"one", "two", "three", "four"}),
        ({"consistency": "stale"}, {"one", "two", "three", "four"}),
        ({"cached": True}, {"one", "two", "three", "four"}),
        ({"datacenter": "dc1"}, {"one", "two", "three", "four"}),
    ],
)
def test_instances_are_read_as_asked(client, options, expected):
    found = discovery.instances_of(client, ["read"], query(**options))
    assert set(ids(found)) == expected and {each["datacenter"] for each in found} == {"dc1"}


def test_on_a_node_tags_and_filter_hold_as_well(client):
    options = query(tags=["blue"], filter="Service.Service == read and Service.Port != 80")
    assert ids(discovery.instances_on(client, "server", options)) == ["two"]
    with pytest.raises(AutoscaleError, match="near: does nothing for the instances on one node"):
        discovery.instances_on(client, "server", query(near="_agent"))


def test_the_agent_answers_from_its_cache(client, monkeypatch):
    answers = []
    real = client._http.request
    monkeypatch.setattr(client._http, "request", lambda *args, **kwargs: answers.append(real(*args, **kwargs)) or answers[-1])
    for _turn in range(2):
        discovery.instances_of(client, ["read"], query(cached=True, filter="Service.Port == 80"))
    assert answers[-1].headers["X-Cache"] == "HIT"


def test_a_part_that_this_server_does_not_know_is_applied_here(client, monkeypatch):
    if client.version() >= (1, 13, 0):
        pytest.skip("this Consul knows PeerName")
    sent = count_reads(client, monkeypatch)
    found = discovery.instances_of(client, ["read"], query(filter='Service.PeerName == "" and Service.Port == 81'))
    assert ids(found) == ["two"]
    assert "filter" in sent[0] and "filter" not in sent[-1]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"partition": "p"}, "partition: Consul at http.* is 1.8.7 and would ignore it.*known from 1.11 on"),
        ({"peer": "p"}, "peer: Consul at http.* is 1.8.7 and would ignore it.*known from 1.13 on"),
        ({"namespace": "n"}, "Namespaces are a Consul Enterprise feature"),
        ({"datacenter": "nowhere"}, "No path to datacenter"),
    ],
)
def test_what_a_server_has_not_is_an_error_and_never_other_data(client, option, told):
    if client.version() >= (1, 11, 0):
        pytest.skip("written for what Consul 1.8 does")
    for read in (
        lambda: discovery.instances_of(client, ["read"], query(**option)),
        lambda: discovery.instances_on(client, "server", query(**option)),
    ):
        with pytest.raises(AutoscaleError, match=told):
            read()


def test_the_server_and_we_select_the_same(client):
    """Expressions of all kinds but `matches`, which 1.8 answers wrongly for keys that are absent."""
    whole, _index = client.health_service("read")

    def joined(*parts):
        """Text of one of each part, with spaces between."""
        return st.tuples(*(st.sampled_from(part) for part in parts)).map(" ".join)

    texts = [
        "Service.Meta.zone",
        'Service.Meta["two-words"]',
        "Service.Meta.none",
        "Service.ID",
        "Node.Node",
        "Checks.Status",
        "Checks.Notes",
    ]
    lists = ["Service.Tags", "Service.Meta", "Checks.ServiceTags", "Service.TaggedAddresses", "Node.Meta"]
    values = ["a", "b", '""', "`x y`", "one", "server", "passing", "critical", "o", "eu", "zone"]
    signs = ["==", "!="]
    comparisons = st.one_of(
        joined(texts, signs, values),
        joined(["Service.Port", "Service.Weights.Passing"], signs, ["80", "81", '"1"', "5"]),
        joined(["Service.EnableTagOverride"], signs, ["true", "false"]),
        joined(values, ["in", "not in"], texts + lists),
        joined(texts + lists, ["contains", "not contains"], values),
        joined([*lists, "Checks"], ["is empty", "is not empty"]),
    )
    expressions = st.recursive(
        comparisons,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join), inner.map("not {}".format), inner.map("({})".format)
        ),
        max_leaves=5,
    )

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(expressions)
    def compare(text):
        ours = [entry["Service"]["ID"] for entry in whole if read_selection(text, "filter").matches(entry)]
        theirs, _index = client.health_service("read", params={"filter": text})
        assert [entry["Service"]["ID"] for entry in theirs] == ours, text

    compare()


def test_a_minimum_makes_an_empty_answer_an_error_and_says_what_was_seen(client):
    for what, options, told in (
        ("read", {"filter": "Service.ID == three"}, "read has no healthy instance in Consul at .*; seen: 'three': critical"),
        ("read", {}, "read has 3 healthy instances, fewer than 4, in Consul at .*; seen: .*'three': critical"),
        ("gone", {}, "gone has no healthy instance in Consul at .*showed no instance at all"),
    ):
        subject = {"services": [what], "node": None, "prepared_query": None}
        with pytest.raises(AutoscaleError, match=told):
            discovery.instances(client, subject, query(**options), 4)
        with pytest.raises(AutoscaleError, match=told):
            discovery.endpoints_of(client, what, query(**options), minimum=4)
    assert len(discovery.endpoints_of(client, "read", minimum=3)[0]) == 3


def test_statuses_are_looked_at_here(client):
    # What an agent that does not filter gives: the whole answer.
    endpoints, _warnings = discovery.endpoints_among("read", discovery.instances_of(client, ["read"]))
    assert set(ids(endpoints)) == {"one", "two", "four"}


def test_a_prepared_query_is_executed_and_its_answer_filtered_here(client):
    client.query_create({"Name": "read-all", "Service": {"Service": "read"}}, params={})
    # Consul itself leaves out what is critical.
    assert set(ids(discovery.instances_by(client, "read-all"))) == {"one", "two", "four"}
    chosen = query(tags=["blue"], filter="Service.Port == 81", consistency="consistent", near="_agent")
    endpoints, _warnings = discovery.endpoints_of(client, "read-all", chosen, prepared=True, minimum=1)
    assert ids(endpoints) == ["two"]
    with pytest.raises(AutoscaleError, match="knows no prepared query 'read-none'"):
        discovery.instances_by(client, "read-none")
    for option in ENTERPRISE:
        with pytest.raises(AutoscaleError, match=f"{option}: does nothing for a prepared query"):
            discovery.instances_by(client, "read-all", dataclasses.replace(query(), **{option: "x"}))


def test_a_prepared_query_answers_with_an_instance_that_has_no_checks(client):
    bare = {"Node": "outside", "Address": "192.0.2.77", "Service": {"Service": "bare", "ID": "bare-1", "Port": 80}}
    client._http.request("PUT", "/v1/catalog/register", json=bare)
    client.query_create({"Name": "bare-all", "Service": {"Service": "bare"}}, params={})
    (found,) = discovery.instances_by(client, "bare-all", query(filter="Checks is empty"))
    assert (found["id"], found["passing"], found["checks"]) == ("bare-1", True, [])


def test_the_info_module_reads_and_refuses(client, consul, run_module):
    parameters = {"consul_url": consul.url, "services": ["read"]}
    found = run_module("consul_service_info", {**parameters, "filter": "Service.Port == 80", "minimum": 1})
    assert ids(found["instances"]) == ["one"] and not found["changed"]
    for wrong, told in (
        ({"filter": "Servce.Port == 80"}, "not a filter of Consul's: at character 1, allowed is one of Checks, Node, Service"),
        ({"partition": "x", "consul_version": "1.10.4"}, "is 1.10.4 and would ignore it"),
        ({"node": "server"}, "mutually exclusive"),
    ):
        failed = run_module("consul_service_info", {**parameters, **wrong})
        assert failed["failed"] and told in failed["msg"], failed
