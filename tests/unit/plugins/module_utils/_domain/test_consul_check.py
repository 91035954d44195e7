# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import consul_features
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.consul_check import declared_checks
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.maintenance import due


def fields(raw, address="192.0.2.11", port=80):
    (check,) = declared_checks([raw], "shop", "shop-1", address, port)
    sent = dict(check.definition())
    assert (sent.pop("CheckID"), sent.pop("Name")) == ("service:shop-1", "Service 'shop' check")
    return sent


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ({"http": "/x"}, {"HTTP": "http://192.0.2.11:80/x", "Interval": "10s"}),
        ({"tcp": ":81", "tcp_use_tls": True}, {"TCP": "192.0.2.11:81", "TCPUseTLS": True, "Interval": "10s"}),
        ({"udp": "[2001:db8::1]:53"}, {"UDP": "[2001:db8::1]:53", "Interval": "10s"}),
        ({"grpc": ":81"}, {"GRPC": "192.0.2.11:81", "Interval": "10s"}),
        ({"grpc": "db:81/a.B", "grpc_use_tls": True}, {"GRPC": "db:81/a.B", "GRPCUseTLS": True, "Interval": "10s"}),
        ({"h2ping": ":81", "h2ping_use_tls": False}, {"H2PING": "192.0.2.11:81", "H2PingUseTLS": False, "Interval": "10s"}),
        ({"h2ping": ":81", "tcp_use_tls": False}, {"H2PING": "192.0.2.11:81", "Interval": "10s"}),
        ({"ttl": "30s", "status": "passing"}, {"TTL": "30s", "Status": "passing"}),
        ({"args": ["/bin/true", "-x"], "output_max_size": 100}, {"Args": ["/bin/true", "-x"], "OutputMaxSize": 100, "Interval": "10s"}),
        (
            {"docker_container_id": "abc", "args": ["true"], "shell": "/bin/sh"},
            {"DockerContainerID": "abc", "Args": ["true"], "Shell": "/bin/sh", "Interval": "10s"},
        ),
        ({"os_service": "w32time"}, {"OSService": "w32time", "Interval": "10s"}),
        ({"alias_service": "db-1"}, {"AliasService": "db-1"}),
        ({"alias_node": "db1"}, {"AliasNode": "db1"}),
        ({"alias_service": "db-1", "alias_node": "db1"}, {"AliasService": "db-1", "AliasNode": "db1"}),
        (
            {"http": "https://x/", "body": "a\nb", "disable_redirects": True, "tls_server_name": "y", "tls_skip_verify": False},
            {"HTTP": "https://x/", "Body": "a\nb", "DisableRedirects": True, "TLSServerName": "y", "Interval": "10s"},
        ),
        (
            {"tcp": ":80", "success_before_passing": 2, "failures_before_warning": 1, "failures_before_critical": 3},
            {"TCP": "192.0.2.11:80", "SuccessBeforePassing": 2, "FailuresBeforeWarning": 1, "FailuresBeforeCritical": 3, "Interval": "10s"},
        ),
    ],
)
def test_each_kind_becomes_consuls_words(raw, sent):
    assert fields(raw) == sent


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"tcp": ":80", "headers": {"a": "b"}}, "headers: has no meaning for a check of the kind tcp; it is for http"),
        ({"ttl": "30s", "interval": "10s"}, "interval: has no meaning for a check of the kind ttl"),
        ({"alias_service": "db-1", "timeout": "1s"}, "timeout: has no meaning for a check of the kind alias"),
        ({"args": ["/bin/true"], "shell": "/bin/sh"}, "shell: has no meaning for a check of the kind script; it is for docker"),
        ({"docker_container_id": "abc"}, "needs args"),
        ({"args": []}, "must be a list of a program"),
        ({"udp": "53"}, "check udp '53' is not allowed"),
        ({"grpc": ":81/a b"}, "must be ADDRESS:PORT or ADDRESS:PORT/SERVICE"),
        ({"alias_node": "db 1"}, "host name 'db 1'"),
        ({"http": "/", "alias_node": "db1"}, "got http, alias"),
        ({"ttl": "30s", "failures_before_warning": 2, "failures_before_critical": 1}, "must not be greater"),
        ({"ttl": "30s", "failures_before_warning": 2}, "must not be greater"),
        ({"ttl": "30s", "output_max_size": -1}, "output_max_size -1"),
        ({"ttl": "30s", "status": "fine"}, "must be one of passing, warning, critical"),
        ({"http": "/", "headers": ["a"]}, "must be a mapping"),
        ({"http": "/", "tls_skip_verify": "yes"}, "must be true or false"),
    ],
)
def test_what_makes_no_sense_is_refused(raw, told):
    with pytest.raises(AutoscaleError) as error:
        fields(raw)
    assert told in error.value.message


def test_what_may_be_a_secret_is_in_no_view_and_no_error():
    secret = {"http": "https://user:s3cret@x/", "headers": {"X-Token": "s3cret"}, "body": "s3cret"}
    (check,) = declared_checks([secret], "shop", "shop-1", "", 0)
    assert "s3cret" in str(check.definition()) and "s3cret" not in str(check.view())
    assert check.view()["HTTP"] == "https://***@x/"
    for wrong in (
        {**secret, "headers": {"X-Token": "s3cret\n"}},
        {**secret, "body": "s3cret" * 10000},
        {**secret, "http": "https://user:s3cret@x/\n"},
        {**secret, "http": "https://user:s3cret@x/ y"},
    ):
        with pytest.raises(AutoscaleError) as error:
            declared_checks([wrong], "shop", "shop-1", "", 0)
        assert "s3cret" not in error.value.message


@pytest.mark.parametrize(
    ("field", "version", "known"),
    [
        ("H2PING", (1, 9, 99), False),
        ("H2PING", (1, 10, 0), True),
        ("UDP", (2, 0, 0), True),
        ("DisableRedirects", (1, 8, 99), False),
        ("DisableRedirects", (1, 9, 16), False),
        ("DisableRedirects", (1, 9, 17), True),
        ("DisableRedirects", (1, 10, 9), False),
        ("DisableRedirects", (1, 10, 10), True),
        ("DisableRedirects", (1, 11, 4), False),
        ("DisableRedirects", (1, 12, 0), True),
        ("TCPUseTLS", (1, 16, 1), False),
        ("TCPUseTLS", (1, 16, 2), True),
        ("HTTP", (1, 8, 0), True),
    ],
)
def test_a_field_is_known_from_its_release_on_in_every_line_that_has_it(field, version, known):
    if known:
        consul_features.require_known([field], version)
        return
    with pytest.raises(AutoscaleError):
        consul_features.require_known([field], version)


def test_all_that_is_unknown_is_told_with_the_release_that_knows_it():
    with pytest.raises(AutoscaleError) as error:
        consul_features.require_known(["HTTP", "DisableRedirects", "TLSServerName"], (1, 8, 7))
    assert error.value.message == (
        "check: the agent's Consul 1.8.7 does not know all that is declared: disable_redirects needs Consul 1.11.5 or later "
        "(1.9.17, 1.10.10 in older lines); tls_server_name needs Consul 1.10.0 or later. Nothing was sent"
    )


@pytest.mark.parametrize(
    ("current", "enable", "reason", "act", "warned"),
    [
        (None, True, "x", True, False),
        (None, False, "x", False, False),
        ("x", True, "x", False, False),
        ("x", True, "", False, False),
        ("x", True, "y", False, True),
        ("x y", False, "x", True, False),
        ("x y", False, "", True, False),
        ("", False, "", True, False),
        ("y", False, "x", False, True),
    ],
)
def test_a_maintenance_begins_and_ends_only_where_it_has_to(current, enable, reason, act, warned):
    acts, warning = due("shop-1", current, enable, reason)
    assert (acts, warning is not None) == (act, warned)
