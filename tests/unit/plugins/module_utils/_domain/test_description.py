# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balance import Balance, Listen, Timeouts
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.description import (
    read_service,
    read_services,
    require_known_groups,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Metric, Policy, Target
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.resources import Resources
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.service import (
    Artifact,
    Check,
    Deploy,
    PortRange,
    Run,
    Service,
    canonical_json,
)
from ansible_collections.microservices.autoscale.tests.unit.builders import DESCRIPTION, as_json, merged, service
from hypothesis import example, given, settings
from hypothesis import strategies as st

ARTIFACT = {"url": "file:///srv/shop-1.4.2.tar.gz", "checksum": "sha256:" + "0a" * 32}


def errors(changes, name="shop"):
    with pytest.raises(InvalidDescription) as caught:
        service(name, **changes)
    return [line.removeprefix(f"autoscale_services.{name}.") for line in caught.value.errors]


def test_a_whole_description():
    assert service(
        run={
            "provider": "systemd",
            "artifact": ARTIFACT,
            "command": "{path}/bin/shop --port {port}",
            "user": "shop",
            "environment": {"SHOP_REGION": "eu", "SHOP_WORKERS": 4, "SHOP_PASSWORD": {"secret": "shop_password"}},
            "pre_start": "{path}/bin/migrate",
            "resources": {"cpu": 0.5, "memory": "256M"},
            "stop_grace": "10s",
        },
        check={"http": "/healthz", "interval": "2s", "timeout": "500ms", "grace": "2m"},
        balance={
            "listen": "192.0.2.1:8080",
            "algorithm": "hash",
            "hash_key": "header:X-User",
            "weight": 10,
            "max_connections": 4,
            "slow_start": "30s",
            "rate_limit": 50,
            "certificate": "/etc/ssl/private/shop.pem",
            "timeouts": {"response": "5m"},
        },
        scale={"min_replicas": 2, "max_replicas": 20, "metrics": [{"cpu": 80}]},
        deploy={"min_healthy_time": "10s", "healthy_deadline": "5m"},
        tags=["web", "eu"],
    ) == Service(
        name="shop",
        version="1.4.2",
        run=Run(
            provider="systemd",
            command="{path}/bin/shop --port {port}",
            artifact=Artifact(ARTIFACT["url"], ARTIFACT["checksum"]),
            user="shop",
            environment={"SHOP_REGION": "eu", "SHOP_WORKERS": "4", "SHOP_PASSWORD": {"secret": "shop_password"}},
            pre_start="{path}/bin/migrate",
            resources=Resources(0.5, 256 * 1024**2),
            stop_grace=10.0,
        ),
        hosts="app",
        port_range=PortRange(20000, 20009),
        scale=Policy(2, 20, (Metric("cpu", "cpu", Target("utilization", 80.0)),)),
        check=Check(http="/healthz", tcp=False, interval=2.0, timeout=0.5, grace=120.0),
        balance=Balance(
            listen=Listen(8080, "192.0.2.1"),
            algorithm="hash",
            hash_key="header:X-User",
            weight=10,
            max_connections=4,
            slow_start=30.0,
            rate_limit=50,
            certificate="/etc/ssl/private/shop.pem",
            timeouts=Timeouts(response=300.0),
        ),
        deploy=Deploy(min_healthy_time=10.0, healthy_deadline=300.0),
        tags=("web", "eu"),
    )


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"port_range": "20000-20999"}, {"port_range": {"first": 20000, "last": 20999}}),
        ({"balance": {"listen": 8080}}, {"balance": {"listen": {"port": 8080}, "algorithm": "round_robin", "weight": 100}}),
        ({"balance": {"listen": "8080"}}, {"balance": {"listen": {"port": 8080}}}),
        ({"balance": {"listen": "192.0.2.1:8080"}}, {"balance": {"listen": {"port": 8080, "address": "192.0.2.1"}}}),
        ({"balance": {"listen": "[2001:DB8::1]:8080"}}, {"balance": {"listen": {"port": 8080, "address": "2001:db8::1"}}}),
        ({"check": {"interval": "2s"}}, {"check": {"tcp": True, "interval": 2, "timeout": 5, "grace": 60}}),
        (
            {"deploy": {"healthy_deadline": "5m"}},
            {"deploy": {"strategy": "rolling", "max_surge": 1, "max_unavailable": 0, "healthy_deadline": 300}},
        ),
        ({"run": {"environment": {"N": 4}}}, {"run": {"environment": {"N": "4"}}}),
        ({"run": {"provider": None}}, {"run": {"provider": "systemd"}}),
        (
            {"run": {"provider": "systemd", "resources": {"memory": "1G"}}},
            {"run": {"provider": "systemd", "resources": {"memory": 1024**3}}},
        ),
        (
            {"scale": {"metrics": [{"requests": 50}]}},
            {"scale": {"metrics": [{"type": "requests", "target": {"type": "average_value", "value": 50.0}}]}},
        ),
    ],
)
def test_short_forms_equal_long_ones(short, long):
    assert service(**short) == service(**long)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"versoin": "1"},
            [
                "versoin: is not known or not implemented yet; allowed here: "
                "version, run, hosts, port_range, check, balance, scale, deploy, tags"
            ],
        ),
        ({"version": 1.4}, ["version: must be text: write it in quotes, got 1.4"]),
        ({"version": "1 4"}, ["version: version '1 4' is not allowed: must match [A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"]),
        ({"version": "1.4\n"}, ["version: version '1.4\\n' is not allowed: must match [A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"]),
        ({"hosts": None}, ["hosts: must be the name of an inventory group, but it is missing"]),
        ({"hosts": "app:!app1"}, ["hosts: must be the name of an inventory group, got 'app:!app1'"]),
        ({"port_range": None}, ["port_range: must be a range of ports such as 20000-20999, but it is missing"]),
        ({"port_range": 20000}, ["port_range: must be a range of ports such as 20000-20999, got 20000"]),
        ({"port_range": "\u00b2-3"}, ["port_range: must be a range of ports such as 20000-20999, got '\u00b2-3'"]),
        ({"port_range": "20009-20000"}, ["port_range: must not end before it begins, got '20009-20000'"]),
        ({"port_range": "1-70000"}, ["port_range.last: must be a whole number of at least 1 and at most 65535, got 70000"]),
        ({"tags": ["a b", 7]}, ["tags[0]: must be a plain tag, got 'a b'", "tags[1]: must be a plain tag, got 7"]),
        # run
        ({"run": {"provider": "docker"}}, ["run.provider: must be one of systemd, supervisor, got 'docker'"]),
        ({"run": {"resources": {"disk": 1}}}, ["run.resources.disk: is not known or not implemented yet; allowed here: cpu, memory"]),
        (
            {"run": {"resources": {"memory": "256M"}}},
            ["run.resources.memory: needs provider systemd: supervisord cannot limit memory, got '256M'"],
        ),
        (
            {"run": {"provider": "systemd", "resources": {"memory": "256MB"}}},
            ["run.resources.memory: must be a number of bytes or text such as 256M or 1G, at least 1M, got '256MB'"],
        ),
        (
            {"run": {"provider": "systemd", "pre_start": "migrate"}},
            ["run.pre_start: needs run.user: without it systemd makes up a user at each start, who is not there before it, got 'migrate'"],
        ),
        ({"run": {"resources": {"cpu": 0}}}, ["run.resources.cpu: must be greater than 0, got 0"]),
        ({"run": {"user": "shop; id"}}, ["run.user: must be the name of a user, got 'shop; id'"]),
        ({"run": {"command": None}}, ["run.command: must be a command, but it is missing"]),
        ({"run": {"command": "  "}}, ["run.command: must be a command, got '  '"]),
        ({"run": {"command": "a\nb"}}, ["run.command: must be one line without control characters, got 'a\\nb'"]),
        ({"run": {"command": "a 'b"}}, ['run.command: must be a command that can be split into words (No closing quotation), got "a \'b"']),
        (
            {"run": {"command": "{path}/x"}},
            ["run.command: may use the placeholders {address}, {port}, {version}, {instance}; {path} needs run.artifact, got '{path}/x'"],
        ),
        (
            {"run": {"command": "x {prot}", "artifact": ARTIFACT}},
            ["run.command: may use the placeholders {address}, {port}, {path}, {version}, {instance}, got 'x {prot}'"],
        ),
        (
            {"run": {"pre_start": "x {port!r} {port:5}"}},
            [
                "run.pre_start: may use the placeholders {address}, {port}, {version}, {instance}; "
                "{path} needs run.artifact, got 'x {port!r} {port:5}'"
            ],
        ),
        (
            {"run": {"artifact": {"url": "ftp://x", "checksum": "md5:1"}}},
            [
                "run.artifact.url: must be a file://, http:// or https:// URL or an absolute path, got 'ftp://x'",
                "run.artifact.checksum: must be sha256: and 64 hexadecimal digits, got 'md5:1'",
            ],
        ),
        (
            {"run": {"environment": {"A-B": "x", "C": None, "D": ["x"], "E": {"vault": "x"}, "F": True}}},
            [
                "run.environment.A-B: must be the name of an environment variable, got 'A-B'",
                "run.environment.C: must be text or {secret: NAME}, but it is missing",
                "run.environment.D: must be text or {secret: NAME}, got ['x']",
                "run.environment.E.vault: is not known or not implemented yet; allowed here: secret",
                "run.environment.E.secret: must be a key of autoscale_secrets, but it is missing",
                "run.environment.F: must be text or {secret: NAME}, got True",
            ],
        ),
        # check
        ({"check": {"http": "healthz"}}, ["check.http: must be a path that begins with /, of 200 characters at the most, got 'healthz'"]),
        ({"check": {"http": "/a b"}}, ["check.http: must be a path that begins with /, of 200 characters at the most, got '/a b'"]),
        ({"check": {"http": "/", "tcp": True}}, ["check.tcp: must not be given together with http, got True"]),
        ({"check": {"tcp": False}}, ["check.tcp: must be true where http is not given, got False"]),
        (
            {"check": {"interval": "1ms"}},
            ["check.interval: must be a duration such as 30, 10s or 5m, at least 0.5 s and at most 300 s, got '1ms'"],
        ),
        # balance
        ({"balance": {"listen": "shop:80"}}, ["balance.listen.address: address 'shop' is not allowed: must be an IPv4 or IPv6 address"]),
        ({"balance": {"listen": "\u00b2"}}, ["balance.listen.port: must be a whole number of at least 1 and at most 65535, got '\u00b2'"]),
        ({"balance": {"listen": None}}, ["balance.listen: must be a port, ADDRESS:PORT or none, but it is missing"]),
        (
            {"balance": {"listen": "none", "certificate": "/x.pem"}},
            ["balance.certificate: must not be given with listen: none, since they are a listener's, got '/x.pem'"],
        ),
        ({"balance": {"weight": 0}}, ["balance.weight: must be a whole number of at least 1 and at most 256, got 0"]),
        (
            {"balance": {"algorithm": "roundrobin"}},
            ["balance.algorithm: must be one of round_robin, least_conn, random, source, hash, got 'roundrobin'"],
        ),
        ({"balance": {"max_connections": 0}}, ["balance.max_connections: must be a whole number of at least 1 and at most 1000000, got 0"]),
        # deploy
        ({"deploy": {"strategy": "canary"}}, ["deploy.strategy: must be one of rolling, got 'canary'"]),
        ({"deploy": {"auto_revert": True}}, ["deploy.auto_revert: must be false, reverting is not implemented yet, got True"]),
        (
            {"deploy": {"max_surge": 2, "max_unavailable": 1}},
            [
                "deploy.max_surge: must be a whole number of at least 1 and at most 1, got 2",
                "deploy.max_unavailable: must be a whole number of at least 0 and at most 0, got 1",
            ],
        ),
        (
            {"deploy": {"min_healthy_time": "5m", "healthy_deadline": "1m"}},
            ["deploy.min_healthy_time: must be less than healthy_deadline, which is 60 s, got '5m'"],
        ),
        # scale
        (
            {"scale": {"metrics": [{"cpu": 80}]}},
            ["scale.metrics[0].target.type: needs run.resources.cpu, which the utilization is a per cent of, got 'utilization'"],
        ),
    ],
)
def test_a_wrong_description_is_refused_and_told(changes, expected):
    assert errors(changes) == expected


@pytest.mark.parametrize("name", ["Shop", "shop_eu", "-shop", "shop-", "s" * 49, "shop\n", "", "../shop"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(InvalidDescription, match="service name .* is not allowed"):
        service(name)


def test_a_description_that_is_no_mapping():
    with pytest.raises(InvalidDescription, match=r"^autoscale_services\.shop: must be a mapping of version, run"):
        read_services({"shop": "latest"})


def test_all_errors_of_all_services_come_together():
    wrong = {"shop": merged(DESCRIPTION, {"version": 2, "hosts": "a b"}), "cart": merged(DESCRIPTION, {"scale": {"min_replicas": 0}})}
    with pytest.raises(InvalidDescription) as caught:
        read_services(wrong)
    assert [line.split(":")[0] for line in caught.value.errors] == [
        "autoscale_services.shop.version",
        "autoscale_services.shop.hosts",
        "autoscale_services.cart.scale.min_replicas",
    ]


def test_services_keep_their_order():
    assert [one.name for one in read_services({"shop": DESCRIPTION, "cart": DESCRIPTION})] == ["shop", "cart"]


@pytest.mark.parametrize("descriptions", [[], "shop", 1])
def test_descriptions_must_be_a_mapping(descriptions):
    with pytest.raises(InvalidDescription, match=r"^autoscale_services: must be a mapping, got"):
        read_services(descriptions)


def test_the_group_must_exist():
    with pytest.raises(AutoscaleError, match=r"^autoscale_services\.shop\.hosts: must be an inventory group with hosts, got 'app'$"):
        require_known_groups((service(), service("cart", hosts="web")), {"web": ["web1"], "app": []})


# There and back

NAME = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8)
SECONDS = st.integers(1, 50) | st.floats(1, 50) | st.sampled_from(["10s", "1500ms", "0.5m"])
PORT = st.integers(1, 65535)


def some(**fields):
    """A mapping with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


TARGET = st.floats(0.001, 1e6) | st.integers(1, 10**6)
METRIC = st.one_of(
    st.fixed_dictionaries({"requests": TARGET}),
    st.fixed_dictionaries({"response_time": TARGET}),
    st.fixed_dictionaries(
        {"type": st.just("prometheus"), "query": TEXT, "target": st.fixed_dictionaries({"type": st.just("value"), "value": TARGET})},
        optional={"window_seconds": SECONDS},
    ),
)
RULES = some(
    stabilization_window_seconds=st.integers(0, 3600) | SECONDS,
    select_policy=st.sampled_from(["max", "min", "disabled"]),
    tolerance=st.floats(0, 1),
    policies=st.lists(
        st.fixed_dictionaries({"type": st.sampled_from(["pods", "percent"]), "value": st.integers(1, 200), "period_seconds": SECONDS}),
        min_size=1,
        max_size=3,
    ),
)
ROUTES = st.lists(st.integers(0, 9), unique=True, max_size=2).map(lambda ids: [{"service": "cart", "path": f"/{number}"} for number in ids])
DESCRIPTIONS = st.fixed_dictionaries(
    {
        "version": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,8}", fullmatch=True),
        "run": st.fixed_dictionaries(
            {"provider": st.just("supervisor"), "command": st.sampled_from(["/srv/shop", "shop --port {port} 'a b'"])},
            optional={
                "artifact": st.just(ARTIFACT),
                "environment": st.dictionaries(
                    st.from_regex(r"[A-Z_]{1,6}", fullmatch=True),
                    TEXT | st.integers() | st.fixed_dictionaries({"secret": TEXT}),
                    max_size=3,
                ),
                "user": NAME,
                "stop_grace": SECONDS,
                "resources": some(cpu=st.floats(0.01, 64)),
            },
        )
        | st.fixed_dictionaries(
            {"command": st.just("/srv/shop")},
            optional={"resources": some(cpu=st.floats(0.01, 64), memory=st.integers(2**20, 2**40) | st.sampled_from(["256M", "2T"]))},
        ),
        "hosts": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
        "port_range": st.tuples(PORT, PORT).map(lambda ports: f"{min(ports)}-{max(ports)}"),
        "scale": st.fixed_dictionaries(
            {"min_replicas": st.integers(1, 5)},
            optional={
                "max_replicas": st.integers(5, 50),
                "metrics": st.lists(METRIC, max_size=2, unique_by=lambda metric: metric.get("type") or next(iter(metric))),
                "behavior": some(scale_up=RULES, scale_down=RULES),
            },
        ),
    },
    optional={
        "check": some(http=st.sampled_from(["/", "/healthz?deep=1"]), interval=SECONDS, timeout=SECONDS, grace=SECONDS),
        "balance": st.fixed_dictionaries(
            {"listen": PORT | PORT.map("[::1]:{}".format)},
            optional={"weight": st.integers(1, 256), "max_connections": st.integers(1, 99), "slow_start": SECONDS, "routes": ROUTES},
        )
        | st.just({"listen": "none"}),
        "deploy": some(min_healthy_time=st.floats(0, 40), healthy_deadline=st.integers(41, 600)),
        "tags": st.lists(st.from_regex(r"[a-z0-9._=/-]{1,8}", fullmatch=True), max_size=3),
    },
)


@settings(max_examples=60, deadline=None)
@given(DESCRIPTIONS)
@example(DESCRIPTION)
def test_the_long_form_reads_as_the_same_service(description):
    read = read_service("shop", description, "x")
    assert read_service("shop", as_json(read.to_description()), "x") == read_service("shop", read.to_description(), "x") == read


@settings(max_examples=30, deadline=None)
@given(DESCRIPTIONS)
def test_the_long_form_is_stable_to_the_letter(description):
    once = as_json(read_service("shop", description, "x").to_description())
    assert canonical_json(read_service("shop", once, "x").to_description()) == canonical_json(once)


def _paths(value, path=()):
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(item, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


WHOLE = merged(
    DESCRIPTION,
    {
        "run": {"artifact": ARTIFACT, "environment": {"A": {"secret": "a"}}, "resources": {"cpu": 1}, "user": "shop", "stop_grace": 3},
        "check": {"http": "/", "grace": 3},
        "scale": {"metrics": [{"cpu": 80}], "behavior": {"scale_up": {"policies": [{"type": "pods", "value": 1, "period_seconds": 1}]}}},
        "deploy": {"healthy_deadline": 300},
        "tags": ["a"],
    },
)


@pytest.mark.parametrize("wrong", [object(), 10**400, float("nan"), [None], {"\u00b2": {}}, "\u00b2-\u00b2", "{a[", "\x00"], ids=range(8))
def test_nothing_in_any_place_crashes_the_reading(wrong):
    for path in _paths(WHOLE):
        try:
            read = read_service("shop", _replaced(WHOLE, path, wrong), "x")
        except InvalidDescription:
            continue
        assert read_service("shop", read.to_description(), "x") == read
