# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each right that a documented policy grants is needed: without it an error names it, and never is an answer taken for empty."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from acl import MANAGEMENT, POLICIES, acl_options, bootstrapped, call, make_token, rules, without
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import consul_rights
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Signing
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import (
    fleet,
    locks,
    node_registration,
    prepared_queries,
    records,
    registration,
    releases,
    rights,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.catalog_hosts import HostQuery, read_hosts
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.discovery import endpoints_of, instances_by, instances_of
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.guarded_writes import write_guarded
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease, lock_key
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.metrics import Sources
from descriptions import shop
from processes import Consul, wait_until

AGENT = "5ecae7aa-0000-4000-8000-000000000002"
SIGNING = Signing(allow_unsigned=True)
COLLECTION = "ansible_collections.microservices.autoscale"


@pytest.fixture(scope="module")
def server(network: str, folder: Path) -> Iterator[Consul]:
    """A Consul server that denies what is not allowed; the service "shop" is deployed, and has an instance on the server's node."""
    options = {**acl_options(AGENT), "ports": {"dns": 8600, "grpc": -1, "serf_wan": -1}}
    with Consul("server", f"{network}.1", folder / "consul", lab=str(folder), options=options, token=MANAGEMENT) as process:
        bootstrapped(process)
        make_token(process.url, rules("agent").replace("NODE", "server"), secret=AGENT)
        client = Client(process.url, token=MANAGEMENT)
        described = releases.described({"shop": described_shop()}, None)
        releases.publish(client, described, SIGNING, balancers={}, locking=locks.Locking("test"), check_mode=False)
        records.write_documents(client, None, records.read_records(client, SIGNING).by_service["shop"], {"scale": {"replicas": 1}}, SIGNING)
        register = {"Name": "shop", "ID": "shop-1", "Port": 20000, "Meta": {"autoscale-service": "shop", "autoscale-version": "1"}}
        client.register_service({**register, "Address": process.address, "Check": {"TTL": "600s", "Status": "passing"}})
        wait_until(lambda: instances_of(client, ["shop"]), "the catalog has the instance")
        yield process


def described_shop(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in shop(8100, **changes).items() if name != "balance"}


def module(name: str, parameters: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
    """What a module does, in this process: there are many rights to try."""
    door = importlib.import_module(f"{COLLECTION}.plugins.modules.{name}")
    defaults = {option: spec.get("default") for option, spec in door.SPEC.options.items()}
    return dict(door.operation({**defaults, **parameters}, check).facts)


def request(process: Consul) -> fleet.Request:
    hosts = ({"name": "server", "node": "server", "address": process.address, "balancer": "haproxy", "cordoned": False},)
    return fleet.Request(hosts=hosts, groups={"app": ["server"]}, balancers="autoscale_balancers")


def plan(process: Consul, token: str | None) -> list[str]:
    return list(fleet.look(Client(process.url, token=token), Sources(), SIGNING, request(process)).problems)


def publish(process: Consul, token: str | None) -> list[str]:
    """A new version each time, so that there is something to write."""
    described = {"shop": described_shop(version=uuid.uuid4().hex)}
    module("service_release", {"consul_url": process.url, "consul_token": token, "allow_unsigned": True, "descriptions": described})
    return []


def fleet_info(process: Consul, token: str | None) -> list[str]:
    result = module("fleet_info", {"consul_url": process.url, "consul_token": token, "allow_unsigned": True})
    return list(result["problems"].values())


def service_info(process: Consul, token: str | None) -> list[str]:
    module("consul_service_info", {"consul_url": process.url, "consul_token": token, "services": ["shop"]})
    return []


def node_info(process: Consul, token: str | None) -> list[str]:
    module("consul_service_info", {"consul_url": process.url, "consul_token": token, "node": "server"})
    return []


@contextlib.contextmanager
def locked(process: Consul) -> Iterator[str]:
    """The session of a lock that the controller has taken."""
    controller = Client(process.url, token=make_token(process.url, rules("controller")))
    taken = locks.acquire(controller, [lock_key("own")], "test", lock_delay=0)
    try:
        yield taken.session or ""
    finally:
        locks.release(controller, taken.session or "", taken.acquired)


def service(process: Consul, token: str | None, *, check: bool = False, **more: Any) -> list[str]:
    with locked(process) as session:
        instance = {"name": "own", "id": f"own-{uuid.uuid4()}", "address": "127.0.0.1", "port": 9}
        options = {"services": [instance], "session": session, **more}
        module("consul_service", {"consul_url": process.url, "consul_token": token, **options}, check=check)
    return []


def checked(process: Consul, token: str | None) -> list[str]:
    return service(process, token, check=True)


def gone(process: Consul, token: str | None) -> list[str]:
    """Of what a token may not see it must not be said that it is gone."""
    options = {"services": [{"name": "shop", "id": "shop-1"}], "state": "absent"}
    module("consul_service", {"consul_url": process.url, "consul_token": token, **options}, check=True)
    return []


def waited(process: Consul, token: str | None) -> list[str]:
    return service(process, token, wait=True, wait_timeout=0.3)


def lease(process: Consul, token: str | None) -> list[str]:
    """What every changing module of a balancer does before it changes anything."""
    with locked(process) as session:
        Lease(Client(process.url, token=token), session).check("own")
    return []


def doctor(scope: str) -> Callable[..., list[str]]:
    def examine(process: Consul, token: str | None) -> list[str]:
        result = module("doctor_info", {"consul_url": process.url, "consul_token": token, "scope": [scope], "providers": []})
        return [check["found"] for check in result["checks"] if not check["ok"] and check["name"].startswith("consul")]

    examine.__name__ = f"doctor_{scope}"
    return examine


def told(door: Callable[..., list[str]], process: Consul, token: str | None) -> str:
    """What is said of a door that does not open, and of one that opens with problems."""
    try:
        return "\n".join(door(process, token))
    except AutoscaleError as error:
        return error.message


Door = Callable[..., list[str]]
# Policies, the block that is taken away, a door, and what its error has to name.
NEEDED: list[tuple[tuple[str, ...], str, Door, str]] = [
    (("controller",), "key_prefix", plan, 'key:read on "autoscale/"'),
    (("controller",), "key_prefix", publish, 'key:read on "autoscale/"'),
    (("controller",), "session_prefix", publish, "session:write on the agent's node"),
    (("controller",), "node_prefix", plan, 'node:read on "server"'),
    (("controller",), "service_prefix", plan, 'service:read on "shop"'),
    (("host",), "service_prefix", service, 'service:write on "own"'),
    (("host",), "service_prefix", checked, 'service:write on "own"'),
    (("host",), "service_prefix", gone, 'service:write on "shop"'),
    (("host",), "node_prefix", waited, "node:read on every name"),
    (("host",), "key_prefix", service, 'key:read on "autoscale/own/lock"'),
    (("host",), "session_prefix", service, "session:write on the node of the session"),
    (("balancer",), "key_prefix", lease, 'key:read on "autoscale/own/lock"'),
    (("balancer",), "session_prefix", lease, "session:write on the node of the session"),
    (("status",), "key_prefix", fleet_info, 'key:read on "autoscale/"'),
    (("status",), "node_prefix", fleet_info, "node:read on every name"),
    (("status",), "node_prefix", service_info, "node:read on every name"),
    (("status",), "node_prefix", node_info, 'node:read on "server"'),
    (("status",), "service_prefix", fleet_info, 'service:read on "shop"'),
    (("status",), "service_prefix", service_info, 'service:read on "shop"'),
    (("status",), "service_prefix", node_info, "service:read on every name"),
    (("controller", "doctor"), "key_prefix", doctor("controller"), 'key:write on "autoscale/"'),
    (("controller", "doctor"), "session_prefix", doctor("controller"), 'session:write on "server"'),
    (("controller", "doctor"), "node_prefix", doctor("controller"), "node:read on every name"),
    (("controller", "doctor"), "service_prefix", doctor("controller"), "service:read on every name"),
    (("controller", "doctor"), "agent_prefix", doctor("controller"), "agent:read on the agent's node"),
    (("host", "doctor"), "service_prefix", doctor("host"), "service:write on every name"),
    (("host", "doctor"), "node_prefix", doctor("host"), 'node:read on "server"'),
    (("host", "doctor"), "key_prefix", doctor("host"), 'key:read on "autoscale/"'),
    (("host", "doctor"), "session_prefix", doctor("host"), "session:write on every name"),
    (("balancer", "doctor"), "key_prefix", doctor("balancer"), 'key:read on "autoscale/"'),
    (("balancer", "doctor"), "session_prefix", doctor("balancer"), "session:write on every name"),
]


@pytest.mark.parametrize(("policies", "block", "door", "named"), NEEDED)
def test_without_a_right_the_error_names_it(policies: tuple[str, ...], block: str, door: Door, named: str, server: Consul) -> None:
    text = without(rules(*policies), block)
    assert text != rules(*policies)
    token = make_token(server.url, text)
    said = told(door, server, token)
    assert named in said
    assert token not in said


@pytest.mark.parametrize(
    ("policies", "door"), dict.fromkeys((policies, door) for policies, _block, door, _named in NEEDED if door is not waited)
)
def test_with_the_documented_policy_nothing_is_missing(policies: tuple[str, ...], door: Door, server: Consul) -> None:
    assert told(door, server, make_token(server.url, rules(*policies))) == ""


def test_every_right_of_what_our_doors_use_is_tried() -> None:
    blocks = {
        (name, block)
        for name in ("controller", "host", "balancer", "status", "doctor")
        for block in re.findall(r"(?m)^(\w+_prefix) ", (POLICIES / f"{name}.hcl").read_text())
    }
    assert blocks == {(name, block) for names, block, _door, _said in NEEDED for name in names if (name, block) in blocks}


@pytest.mark.parametrize("door", [plan, publish, service_info, node_info, gone, fleet_info])
def test_no_token_at_all(door: Door, server: Consul) -> None:
    assert "the token lacks" in told(door, server, None)


def test_a_token_that_consul_does_not_know(server: Consul) -> None:
    unknown = "5ecae7aa-0000-4000-8000-00000000000f"
    # That long it is taken for a token that is new.
    client = Client(server.url, token=unknown, timeout=0.5)
    reads: list[Callable[[], Any]] = [
        lambda: instances_of(client, ["shop"]),
        lambda: records.read_records(client, SIGNING),
        lambda: registration.at_agent(client),
        lambda: rights.missing(client, [consul_rights.service("shop")]),
    ]
    for read in reads:
        with pytest.raises(AutoscaleError, match="Consul does not know this token") as caught:
            read()
        assert unknown not in caught.value.message


def test_a_token_for_one_service_reads_that_one_and_is_told_of_others(server: Consul) -> None:
    mine = 'service "shop" { policy = "read" }\nnode_prefix "" { policy = "read" }\nkey_prefix "autoscale/shop/" { policy = "read" }'
    client = Client(server.url, token=make_token(server.url, mine))
    assert [found["id"] for found in instances_of(client, ["shop"])] == ["shop-1"]
    assert list(records.read_records(client, SIGNING).by_service) == ["shop"]
    with pytest.raises(rights.MissingRight, match='lacks service:read on "other"'):
        instances_of(client, ["shop", "other"])
    with pytest.raises(rights.MissingRight, match='lacks key:read on "autoscale/other/"'):
        records.read_records(client, SIGNING, ["other"])
    with pytest.raises(AutoscaleError, match="Consul showed no instance at all"):
        endpoints_of(Client(server.url, token=make_token(server.url, rules("status"))), "other", minimum=1)


def test_other_readings_name_what_they_lack(server: Consul) -> None:
    """Prepared queries, hosts of an inventory, and a node that is said to be dead."""
    rich = Client(server.url, token=MANAGEMENT)
    rich.query_create({"Name": "near", "Service": {"Service": "shop"}}, params={})
    only_nodes = Client(server.url, token=make_token(server.url, 'node_prefix "" { policy = "read" }'))
    only_services = Client(server.url, token=make_token(server.url, 'service_prefix "" { policy = "read" }'))
    with pytest.raises(rights.MissingRight, match='lacks service:read on "shop"'):
        instances_by(only_nodes, "near")
    assert [found["id"] for found in instances_by(Client(server.url, token=make_token(server.url, rules("status"))), "near")] == ["shop-1"]
    options = {"name": "near", "datacenter": None}
    with pytest.raises(rights.MissingRight, match='lacks query:read on "near"'):
        prepared_queries.remove(only_nodes, options, Lease(only_nodes, None), check_mode=True)
    hosts: dict[str, Any] = {"services": [], "datacenter": None, "consistency": "default", "passing_only": False, "minimum_hosts": 1}
    with pytest.raises(rights.MissingRight, match="fewer than minimum_hosts, 1, but that says nothing: the token lacks node:read on every"):
        read_hosts(only_services, HostQuery.from_options(hosts))
    with pytest.raises(rights.MissingRight, match='lacks node:read on "server"'):
        dead_node(only_services)
    with pytest.raises(rights.MissingRight, match='lacks service:read on "shop"'):
        dead_node(only_nodes)
    with pytest.raises(rights.MissingRight, match="lacks node:write on every name"):
        node_registration.maintain_node(only_nodes, False, "", False)


def dead_node(client: Client) -> None:
    owners = {"shop-1": "shop"}
    node_registration.remove_from_dead_node(client, "server", owners, 60.0, Lease(client, None), True, now=time.time())


def test_a_scale_that_may_not_be_read_is_not_a_new_service(server: Consul) -> None:
    token = make_token(server.url, 'key "autoscale/shop/release" { policy = "read" }')
    with pytest.raises(rights.MissingRight, match='lacks key:read on "autoscale/shop/scale"'):
        records.read_records(Client(server.url, token=token), SIGNING)


def test_a_transaction_names_the_key_that_was_refused(server: Consul) -> None:
    token = make_token(server.url, 'key_prefix "autoscale/shop/" { policy = "read" }\nkey "autoscale/shop/history" { policy = "write" }')
    writes = [("autoscale/shop/history", "{}", None), ("autoscale/shop/scale", "{}", None)]
    with pytest.raises(AutoscaleError, match='Permission denied: the token lacks key:write on "autoscale/shop/scale"'):
        write_guarded(Client(server.url, token=token), None, "shop", writes)


def test_what_is_there_needs_no_question(server: Consul) -> None:
    """A look at a fleet that is whole asks nothing; one with something missing asks once."""
    asked: list[int] = []

    class Asked(Client):
        def may(self, wanted: Any) -> list[bool] | None:
            asked.append(len(wanted))
            return super().may(wanted) if wanted else None

    client = Asked(server.url, token=make_token(server.url, rules("controller")))
    whole = request(server)
    fleet.look(client, Sources(), SIGNING, whole)
    assert asked == []
    away = {"name": "away", "node": "away", "address": "192.0.2.1", "balancer": "haproxy", "cordoned": False}
    fleet.look(client, Sources(), SIGNING, fleet.Request((*whole.hosts, away), whole.groups, whole.balancers))
    assert asked == [1]


def test_an_agent_without_acls_among_servers_with_them(server: Consul, network: str, folder: Path) -> None:
    """It says of itself that ACLs are off, and shows nothing all the same."""
    own = make_token(server.url, rules("agent").replace("NODE", "plain"))
    options: dict[str, Any] = {"acl": {"tokens": {"default": own}}}
    where = {"lab": str(folder), "servers": [server.address]}
    with Consul("plain", f"{network}.2", folder / "plain", options=options, token=MANAGEMENT, **where) as plain:
        poor = Client(plain.url, token=make_token(server.url, 'node_prefix "" { policy = "read" }'))
        with pytest.raises(rights.MissingRight, match='lacks service:read on "shop"'):
            instances_of(poor, ["shop"])
        with pytest.raises(AutoscaleError, match='lacks key:read on "autoscale/"'):
            records.read_records(poor, SIGNING)
        rich = Client(plain.url, token=make_token(server.url, rules("status")))
        assert instances_of(rich, ["other"]) == []


def test_where_acls_are_off_an_empty_answer_is_empty(network: str, folder: Path) -> None:
    with Consul("open", f"{network}.3", folder / "open", lab=str(folder)) as consul:
        client = Client(consul.url)
        assert rights.missing(client, [consul_rights.service("shop"), consul_rights.key("a"), consul_rights.node()]) == ()
        assert instances_of(client, ["shop"]) == []


# What servers from 1.11 on say, which 1.8 does not.
FILTERED = {"X-Consul-Results-Filtered-By-ACLs": "true", "X-Consul-Index": "7"}


@pytest.fixture
def newer() -> Iterator[Callable[[Any], str]]:
    """newer(allowed): a server that answers every read with one instance, left others out; None: it cannot be asked."""
    servers: list[ThreadingHTTPServer] = []

    def serve(allowed: bool | None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**FILTERED, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                instance = {"ID": "shop-1", "Service": "shop", "Address": "192.0.2.1", "Port": 80}
                self.answer(200, [{"Node": {"Node": "app1"}, "Service": instance, "Checks": []}])

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*((404, None) if allowed is None else (200, [{**right, "Allow": allowed} for right in asked])))

            def log_message(self, *_: object) -> None:
                pass

        running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(running)
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{running.server_port}"

    yield serve
    for running in servers:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize("allowed", [False, None])
def test_a_newer_server_says_that_it_left_something_out(newer: Callable[[Any], str], allowed: bool | None) -> None:
    with pytest.raises(rights.MissingRight, match='lacks service:read on "shop"'):
        instances_of(Client(newer(allowed)), ["shop"])


def test_a_newer_server_that_left_out_what_is_not_asked_for(newer: Callable[[Any], str]) -> None:
    assert [found["id"] for found in instances_of(Client(newer(True)), ["shop"])] == ["shop-1"]


def test_dns_finds_instances_with_the_policy_for_it(server: Consul) -> None:
    assert resolve(server.address, "shop.service.consul") == 0, "without it nobody is found"
    policy = call(server.url, "PUT", "/v1/acl/policy", {"Name": "dns", "Rules": rules("dns")})
    anonymous = "/v1/acl/token/00000000-0000-0000-0000-000000000002"
    before = call(server.url, "GET", anonymous)
    call(server.url, "PUT", anonymous, {**before, "Policies": [{"ID": policy["ID"]}]})
    try:
        wait_until(lambda: resolve(server.address, "shop.service.consul") == 1, "DNS knows the instance", 40)
    finally:
        call(server.url, "PUT", anonymous, {**before, "Policies": []})


def resolve(address: str, name: str) -> int:
    """The number of answers to a question for addresses."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(b"\0\7\1\0\0\1\0\0\0\0\0\0" + question, (address, 8600))
        return int.from_bytes(client.recv(4096)[6:8], "big")
