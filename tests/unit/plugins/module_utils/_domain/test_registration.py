# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import registration
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.registration import Registration
from hypothesis import given
from hypothesis import strategies as st

INSTANCE = {
    "service": "shop",
    "id": "shop-app1-20000",
    "host": "app1",
    "address": "192.0.2.11",
    "port": 20000,
    "version": "1.4.2",
    "digest": "abc",
    "run": {},
    "check": {"http": "/healthz", "tcp": False, "interval": 2.0, "timeout": 0.5},
    "tags": ["web", "eu"],
    "meta": {"autoscale-service": "shop"},
    "weight": 100,
    "healthy_deadline": 300.0,
    "min_healthy_time": 10.0,
}


def described(**more):
    return Registration.from_description({"name": "shop", "id": "shop-1", "address": "192.0.2.11", "port": 80, **more})


def as_agent(want, **more):
    """The agent's answers after `want` was registered, as Consul 1.8.7 gives them."""
    sent = want.definition()
    service = {"ID": want.id, "Service": want.service, **{key: sent[key] for key in ("Address", "Port", "Tags", "Meta", "Weights")}}
    service["EnableTagOverride"] = sent.get("EnableTagOverride", False)
    own = {"Address": want.address, "Port": want.port}
    service["TaggedAddresses"] = {"lan_ipv4": own, "wan_ipv4": own, **sent.get("TaggedAddresses", {})}
    checks = {
        check["CheckID"]: {"CheckID": check["CheckID"], "Name": check["Name"], "ServiceID": want.id, "Notes": "", "Definition": {}}
        for check in sent["Checks"]
    }
    return registration.registered({want.id: {**service, **more}}, checks)[want.id]


def test_an_instance_of_a_plan_becomes_one_definition():
    assert Registration.from_instance(INSTANCE).definition() == {
        "Name": "shop",
        "ID": "shop-app1-20000",
        "Address": "192.0.2.11",
        "Port": 20000,
        "Tags": ["web", "eu"],
        "Meta": {"autoscale-service": "shop", "autoscale-checks": Registration.from_instance(INSTANCE).digest},
        "Weights": {"Passing": 100, "Warning": 1},
        "Checks": [
            {
                "CheckID": "service:shop-app1-20000",
                "Name": "Service 'shop' check",
                "HTTP": "http://192.0.2.11:20000/healthz",
                "Interval": "2s",
                "Timeout": "500ms",
            }
        ],
    }


def test_an_instance_without_http_is_checked_by_tcp():
    instance = {**INSTANCE, "address": "2001:db8::1", "check": {"http": None, "tcp": False, "interval": 1, "timeout": 1}}
    (check,) = Registration.from_instance(instance).checks
    assert check.fields["TCP"] == "[2001:db8::1]:20000"
    assert "HTTP" not in check.fields


def test_the_same_again_is_no_difference_whatever_the_order_of_tags():
    want = described(tags=["b", "a"], meta={"n": 1, "on": True}, checks=[{"ttl": "30s"}, {"tcp": ":80", "interval": "1m"}])
    assert want.meta == {"n": "1", "on": "true"}
    assert (
        registration.difference(
            described(tags=["a", "b"], meta={"n": "1", "on": "true"}, checks=[{"ttl": 30}, {"tcp": "192.0.2.11:80", "interval": 60}]),
            as_agent(want),
        )
        is None
    )


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"port": 81}, {"port"}),
        ({"tags": ["x"]}, {"tags"}),
        ({"meta": {"a": "b"}}, {"meta"}),
        ({"weight": 7}, {"weight"}),
        ({"weight_warning": 0}, {"weight_warning"}),
        ({"tagged_addresses": {"wan": {"address": "198.51.100.7"}}}, {"tagged_addresses"}),
        ({"enable_tag_override": True}, {"enable_tag_override", "checks", "checks_digest"}),
        ({"checks": [{"ttl": "31s"}]}, {"checks", "checks_digest"}),
        ({"checks": [{"ttl": "30s"}, {"ttl": "30s"}]}, {"checks", "checks_digest"}),
        ({"checks": []}, {"checks", "checks_digest"}),
    ],
)
def test_the_difference_shows_only_what_differs(changed, keys):
    before, after = registration.difference(
        described(**{"checks": [{"ttl": "30s"}], **changed}), as_agent(described(checks=[{"ttl": "30s"}]))
    )
    assert {key for key in after if before[key] != after[key]} == keys


def test_a_check_that_somebody_added_is_a_difference_and_is_to_be_removed():
    want = described(checks=[{"ttl": "30s"}])
    have = as_agent(want)
    have = registration.Registered(**{**vars(have), "checks": {**have.checks, "stray": "x"}})
    assert registration.difference(want, have) is not None
    assert have.undeclared_checks(want) == ("stray",)


@pytest.mark.parametrize(
    ("declared", "registered", "same"),
    [
        ({}, {}, True),
        ({"wan": {"address": "198.51.100.7", "port": 80}}, {"wan": {"address": "198.51.100.7"}}, True),
        ({}, {"wan": {"address": "198.51.100.7"}}, False),
        ({"lan_ipv4": {"address": "192.0.2.11", "port": 80}}, {}, True),
        ({"lan_ipv4": {"address": "192.0.2.12", "port": 80}}, {}, False),
    ],
)
def test_what_the_agent_adds_to_the_tagged_addresses_is_compared_only_where_it_is_declared(declared, registered, same):
    want, have = described(tagged_addresses=declared), as_agent(described(tagged_addresses=registered))
    assert (registration.difference(want, have) is None) == same


def test_tags_that_others_may_change_are_left_alone_until_they_are_declared_anew():
    mine = {"enable_tag_override": True, "tags": ["mine"]}
    have = as_agent(described(**mine), Tags=["mine", "theirs"])
    assert registration.difference(described(**mine), have) is None
    before, after = registration.difference(described(**{**mine, "tags": ["new"]}), have)
    assert (before["tags"], after["tags"]) == (["mine", "theirs"], ["new"])
    assert registration.difference(described(tags=["mine"]), have) is not None


def test_the_digest_of_what_was_registered_before_stays_the_same():
    assert described(checks=[{"http": "/healthz", "interval": "2s", "timeout": "1s"}]).digest == "610f20f3edc5bdb8"


def test_the_maintenance_check_is_no_check_of_the_service():
    want = described(checks=[{"ttl": "30s"}])
    answer = {
        "CheckID": "_service_maintenance:shop-1",
        "ServiceID": "shop-1",
        "Notes": "autoscale: drain",
        "Name": "Service Maintenance Mode",
    }
    have = registration.registered(
        {"shop-1": {"Service": "shop", "Port": 80}}, {"_service_maintenance:shop-1": answer, "serf": {"CheckID": "serf", "ServiceID": ""}}
    )["shop-1"]
    assert have.maintenance == "autoscale: drain"
    assert have.undeclared_checks(want) == ()


def test_the_id_of_another_service_is_refused():
    with pytest.raises(AutoscaleError, match="registered at the agent for the service 'other'"):
        registration.difference(described(), as_agent(described(), Service="other"))


def test_header_values_reach_consul_but_no_diff():
    want = described(checks=[{"http": "/", "headers": {"Authorization": "Bearer s3cret"}, "method": "HEAD", "tls_skip_verify": True}])
    assert want.definition()["Checks"][0]["Header"] == {"Authorization": ["Bearer s3cret"]}
    assert "s3cret" not in str(want.view())
    changed = described(checks=[{"http": "/", "headers": {"Authorization": "Bearer other"}, "method": "HEAD", "tls_skip_verify": True}])
    assert changed.digest != want.digest


def test_a_field_that_was_not_asked_for_is_not_sent():
    (check,) = described(checks=[{"ttl": "30s", "notes": None, "interval": None}]).definition()["Checks"]
    assert set(check) == {"CheckID", "Name", "TTL"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "Sh op"}, "service name 'Sh op'"),
        ({"id": "a b"}, "instance id 'a b'"),
        ({"address": "1.2.3.4; } server { listen 9"}, "must be an IPv4 or IPv6 address"),
        ({"port": 70000}, "port 70000"),
        ({"weight": 65536}, "weight 65536"),
        ({"tags": ["a\nb"]}, "tag 'a\\nb'"),
        ({"meta": {"a b": "c"}}, "meta key 'a b'"),
        ({"meta": {"autoscale-checks": "c"}}, "not be autoscale-checks"),
        ({"meta": {"a": ["c"]}}, "meta a"),
        ({"meta": {"a": "c" * 513}}, "at most 512 long"),
        ({"checks": [{}]}, "alias_service or alias_node is needed, got none"),
        ({"checks": [{"ttl": "3s", "tcp": ":80"}]}, "got tcp, ttl"),
        ({"checks": [{"ttl": "soon"}]}, "duration 'soon'"),
        ({"checks": [{"ttl": "0s"}]}, "duration '0s'"),
        ({"checks": [{"http": "ftp://x/"}]}, "must be an http or https URL"),
        ({"checks": [{"http": "http://x/\r\nHost: y"}]}, "without control characters"),
        ({"checks": [{"http": "/", "method": "DEL ETE"}]}, "must be one of GET"),
        ({"checks": [{"tcp": "80"}]}, "must be ADDRESS:PORT"),
        ({"checks": [{"tcp": ":70000"}]}, "port 70000"),
        ({"address": None, "checks": [{"tcp": ":80"}]}, "needs one of its own"),
        ({"port": None, "checks": [{"http": "/x"}]}, "needs an address and a port"),
        ({"checks": [{"id": "a", "ttl": 5}, {"id": "a", "ttl": 5}]}, "not all different"),
        ({"weight_warning": -1}, "weight_warning -1"),
        ({"tagged_addresses": {"w n": {"address": "192.0.2.1"}}}, "tagged address 'w n'"),
        ({"tagged_addresses": {"wan": {"address": "x; y"}}}, "tagged address wan: address 'x; y'"),
        ({"tagged_addresses": {"wan": {"address": "192.0.2.1", "port": 70000}}}, "tagged address wan: port 70000"),
        ({"tagged_addresses": {"wan": {"port": 1}}}, "must be a mapping of address"),
        ({"tagged_addresses": {"wan": "192.0.2.1"}}, "must be a mapping of address"),
    ],
)
def test_a_wrong_description_is_refused_and_told(wrong, told):
    with pytest.raises(AutoscaleError) as error:
        described(**wrong)
    assert told in error.value.message


@given(st.text())
def test_no_text_gets_control_characters_into_a_definition(text):
    for raw in (
        {"tags": [text]},
        {"meta": {"a": text}},
        {"checks": [{"http": f"/{text}"}]},
        {"checks": [{"tcp": f"{text}:80"}]},
        {"id": text},
        {"tagged_addresses": {text: {"address": "192.0.2.1"}}},
        {"checks": [{"args": ["/bin/true", text]}]},
        {"checks": [{"docker_container_id": text, "args": ["/bin/true"], "shell": text}]},
        {"checks": [{"os_service": text}]},
        {"checks": [{"alias_service": text, "alias_node": text}]},
        {"checks": [{"grpc": f":80/{text}"}]},
        {"checks": [{"http": "/", "headers": {text: text}, "tls_server_name": text}]},
    ):
        try:
            sent = described(**raw).definition()
        except AutoscaleError:
            continue
        assert not any(character < " " or character == "\x7f" for sent_text in _texts(sent) for character in sent_text)


def _texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
