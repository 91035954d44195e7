# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import consul_change
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.consul_agent import (
    PLAIN,
    agent_config,
    certificate_files,
    flat,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = (1, 8, 7), (1, 22, 0)
KEY = "3lg9DxVfKNzI8O+IQ5Ek+Q=="
TOKEN = "6e0ad1d5-8f4b-4b8c-9d0e-2f7c1a5b3e99"
TLS = {"ca_file": "/etc/ca.pem", "cert_file": "/etc/cert.pem", "key_file": "/etc/key.pem"}
# As the role hands them over when nothing is set.
PLAINLY: dict[str, Any] = {
    "server": False,
    "node_name": "",
    "datacenter": "dc1",
    "data_dir": "/var/lib/consul",
    "bind_addr": "",
    "advertise_addr": "",
    "client_addr": "127.0.0.1",
    "retry_join": ["192.0.2.5"],
    "retry_interval": "30s",
    "bootstrap_expect": 3,
    "raft_multiplier": 5,
    "ports": {},
    "log_level": "info",
    "local_script_checks": False,
    "acl": {},
    "encrypt": {},
    "tls": {},
    "config": {},
}


def config(version: tuple[int, int, int] = OLD, *, key: str = "", tokens: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return agent_config({**PLAINLY, **settings}, {"encrypt_key": key, "acl_tokens": tokens or {}}, version)


def test_nothing_set_is_an_agent_that_is_closed() -> None:
    assert config() == {
        **PLAIN,
        "client_addr": "127.0.0.1",
        "data_dir": "/var/lib/consul",
        "datacenter": "dc1",
        "enable_local_script_checks": False,
        "log_level": "INFO",
        "retry_interval": "30s",
        "retry_join": ["192.0.2.5"],
        "server": False,
    }


def test_a_server_says_how_many_it_waits_for() -> None:
    found = config(server=True, bind_addr="192.0.2.5", retry_join=["192.0.2.6:8301", "con3.example.net", "[2001:db8::7]:8301"])
    assert found["bootstrap_expect"] == 3
    assert found["performance"] == {"raft_multiplier": 5}
    assert found["retry_join"] == ["192.0.2.6:8301", "con3.example.net", "[2001:db8::7]:8301"]


@pytest.mark.parametrize(("version", "name"), [((1, 8, 7), "master"), ((1, 10, 12), "master"), ((1, 11, 0), "initial_management")])
def test_the_first_token_is_named_as_the_version_names_it(version: tuple[int, int, int], name: str) -> None:
    found = config(version, acl={"enabled": True}, tokens={"agent": TOKEN, "initial_management": TOKEN})
    assert found["acl"] == {
        "enabled": True,
        "default_policy": "deny",
        "down_policy": "extend-cache",
        "tokens": {"agent": TOKEN, name: TOKEN},
    }


def test_tls_is_flat_before_its_stanza() -> None:
    flags = {"verify_incoming": True, "verify_outgoing": True}
    old = config((1, 11, 9), server=True, tls=TLS)
    assert {name: old[name] for name in (*TLS, *flags, "verify_server_hostname")} == {**TLS, **flags, "verify_server_hostname": True}
    assert "tls" not in old
    new = config((1, 12, 0), server=True, tls=TLS)
    assert new["tls"] == {"defaults": {**TLS, **flags}, "internal_rpc": {"verify_server_hostname": True}}
    assert "ca_file" not in new


def test_an_agent_without_a_certificate_asks_for_none() -> None:
    assert config(tls={"ca_file": "/etc/ca.pem"})["verify_incoming"] is False


def test_further_keys_are_merged_into_what_the_role_says() -> None:
    found = config(server=True, config={"leave_on_terminate": True, "performance": {"leave_drain_time": "5s"}, "limits": {"rpc_rate": 5}})
    assert found["leave_on_terminate"] is True
    assert found["performance"] == {"raft_multiplier": 5, "leave_drain_time": "5s"}
    assert found["limits"] == {"rpc_rate": 5}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"version": (1, 7, 9)}, r"Consul 1\.7\.9 is installed: 1\.8\.0 is the oldest"),
        ({"ports": {"grpc_tls": 8503}}, r"consul_ports\.grpc_tls: Consul 1\.8\.7 does not know it, 1\.14\.0 and later do"),
        ({"ports": {"http": 70000}}, r"consul_ports\.http: must be a whole number of at least -1 and at most 65535"),
        ({"ports": {"htpp": 1}}, r"consul_ports\.htpp: is not known"),
        ({"bind_addr": "eth0"}, r"consul_bind_addr: must be an IP address"),
        ({"client_addr": "0.0.0.0;x"}, r"consul_client_addr: must be an IP address"),
        ({"node_name": "a\n"}, r"consul_node_name: must be letters"),
        ({"data_dir": "/var/lib/con sul"}, r"consul_data_dir: must be an absolute path"),
        ({"retry_join": []}, r"consul_retry_join: must name the servers"),
        ({"retry_join": [], "server": True}, r"consul_retry_join: must name the servers"),
        ({"retry_join": ["a b"]}, r"consul_retry_join\[0\]: must be ADDRESS"),
        ({"tokens": {"agent": TOKEN}}, r"consul_acl\.enabled: must be true where tokens are given"),
        ({"acl": {"enabled": True}, "tokens": {"boss": TOKEN}}, r"consul_acl\.tokens\.boss: is not known"),
        ({"key": "bm8="}, r"consul_encrypt: the key must be 16, 24 or 32 bytes in base64"),
        ({"server": True, "tls": {"ca_file": "/etc/ca.pem"}}, r"consul_tls: needs cert_file and key_file together; a server needs both"),
        ({"tls": {"cert_file": "/c", "key_file": "/k"}}, r"consul_tls\.ca_file: must be given"),
        ({"config": {"server": True}}, r"consul_config\.server: is what an option of the role says already"),
        ({"acl": {"enabled": True}, "config": {"acl": {"enabled": False}}}, r"consul_config\.acl\.enabled: is what an option"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(AutoscaleError, match=words):
        config(**given)


def test_a_secret_that_is_wrong_is_not_repeated() -> None:
    with pytest.raises(AutoscaleError) as caught:
        config(key="nearly-right-secret")
    assert "nearly-right-secret" not in str(caught.value)


def test_the_files_of_tls_are_named_by_their_options() -> None:
    assert certificate_files({"tls": {"ca_file": "/etc/ca.pem", "key_file": ""}}) == {"consul_tls.ca_file": "/etc/ca.pem"}


# how a running agent comes to know it

STARTED = {"unit": "text", "version": "1.8.7", f"{consul_change.FILE}/etc/ca.pem": "1"}


def needed(before: dict[str, Any], after: dict[str, Any], **further: str) -> consul_change.Application:
    record = consul_change.record_text(consul_change.digests(before, STARTED))
    return consul_change.application(record, consul_change.digests(after, {**STARTED, **further}))


@pytest.mark.parametrize(
    ("after", "further", "how", "why"),
    [
        ({}, {}, "none", ()),
        ({"log_level": "WARN"}, {}, "reload", ("log_level",)),
        ({"node_meta": {"rack": "2"}}, {}, "reload", ("node_meta.rack",)),
        ({"acl": {"enabled": True, "tokens": {"agent": "b"}}}, {}, "reload", ("acl.tokens.agent",)),
        ({"acl": {"enabled": True, "tokens": {"agent": "a", "master": "b"}}}, {}, "restart", ("acl.tokens.master",)),
        ({"log_level": "WARN", "datacenter": "dc2"}, {}, "restart", ("datacenter",)),
        ({}, {f"{consul_change.FILE}/etc/ca.pem": "2"}, "reload", (f"{consul_change.FILE}/etc/ca.pem",)),
        ({}, {f"{consul_change.FILE}/etc/key.pem": "2"}, "restart", (f"{consul_change.FILE}/etc/key.pem",)),
        ({}, {"unit": "other"}, "restart", ("unit",)),
        ({}, {"version": "1.9.0"}, "restart", ("version",)),
    ],
)
def test_a_reload_is_enough_for_some_changes(after: dict[str, Any], further: dict[str, str], how: str, why: tuple[str, ...]) -> None:
    before = {"log_level": "INFO", "datacenter": "dc1", "acl": {"enabled": True, "tokens": {"agent": "a"}}, "node_meta": {"rack": "1"}}
    assert needed(before, {**before, **after}, **further) == (how, why)


@pytest.mark.parametrize("record", [None, "", "{}", "[]", '{"schema": 2, "digests": {}}', '{"schema": 1, "digests": 3}'])
def test_an_agent_of_which_nothing_is_known_is_restarted(record: str | None) -> None:
    assert consul_change.application(record, {}).how == "restart"


_NAMES = st.sampled_from(["a", "b", "c"])
_VALUES = st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(_NAMES, _VALUES | st.dictionaries(_NAMES, _VALUES)))
def test_the_same_configuration_needs_nothing_and_its_note_has_no_value_in_it(found: dict[str, Any]) -> None:
    assert needed(found, json.loads(json.dumps(found))).how == "none"
    assert {name for name, _value in flat(found)} <= consul_change.digests(found, {}).keys()


def test_secrets_are_masked_wherever_they_are() -> None:
    found = consul_change.masked(
        config(acl={"enabled": True}, key=KEY, tokens={"agent": TOKEN}, tls=TLS, server=True, config={"a": {"b_token": "t"}})
    )
    assert KEY not in str(found)
    assert TOKEN not in str(found)
    assert found["acl"]["tokens"] == {"agent": consul_change.MASKED}
    assert found["a"] == {"b_token": consul_change.MASKED}
    # Where keys are is no secret, nor is whether something is verified.
    assert found["key_file"] == "/etc/key.pem"
    assert found["encrypt_verify_incoming"] is True
