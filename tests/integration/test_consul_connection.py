# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against real Consul: connections of all kinds, and one clear error for each that fails."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul_connection import connect
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError, Unreachable
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._module import argspec
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import locks
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.guarded_writes import Conflict, write_guarded
from processes import Consul as Agent
from processes import find_program, wait_until

MASTER = "aaaaaaaa-1111-2222-3333-444444444444"
WRONG = "bbbbbbbb-1111-2222-3333-444444444444"
KEYS = "autoscale/"


@pytest.fixture(scope="module")
def server(network, folder):
    """A server with ACLs, on TCP, TLS with client certificates, and a unix socket; `.tls`, `.socket`, `.files`."""
    files = folder / "certificates"
    files.mkdir(parents=True)
    address = f"{network}.1"

    def tls(*command):
        subprocess.run([find_program("consul"), "tls", *command], cwd=files, check=True, capture_output=True)

    tls("ca", "create")
    tls("cert", "create", "-server", "-additional-ipaddress", address)
    tls("cert", "create", "-client")
    tls("ca", "create", "-domain", "other")
    both = files / "both.pem"
    both.write_text((files / "dc1-client-consul-0.pem").read_text() + (files / "dc1-client-consul-0-key.pem").read_text())
    options = {
        "ports": {"dns": -1, "grpc": -1, "serf_wan": -1, "https": 8501},
        "addresses": {"http": f"{address} unix://{folder}/http.sock"},
        "ca_file": str(files / "consul-agent-ca.pem"),
        "cert_file": str(files / "dc1-server-consul-0.pem"),
        "key_file": str(files / "dc1-server-consul-0-key.pem"),
        "verify_incoming": True,
        # Requests without a token have all rights: it is tokens that are tested.
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "default": MASTER}},
    }
    with Agent("server", address, folder / "consul", lab=str(folder), options=options) as agent:
        yield SimpleNamespace(
            agent=agent,
            url=agent.url,
            address=address,
            tls=f"https://{address}:8501",
            socket=f"unix://{folder}/http.sock",
            files=files,
            ca=str(files / "consul-agent-ca.pem"),
            other_ca=str(files / "other-agent-ca.pem"),
            certificate=str(files / "dc1-client-consul-0.pem"),
            key=str(files / "dc1-client-consul-0-key.pem"),
            both=str(both),
        )


@contextlib.contextmanager
def one_error(kind, *told):
    """One error of a kind, whose text has all of these and no secret."""
    with pytest.raises(kind) as caught:
        yield
    message = caught.value.message
    assert type(caught.value) is kind
    for text in told:
        assert text in message
    assert WRONG not in message and MASTER not in message and "object at 0x" not in message, message


def test_the_version_is_asked_for_once_and_may_be_given(server):
    client = Consul(server.url)
    assert client.version() >= (1, 8, 0)
    server.agent.pause()
    try:
        assert client.version() >= (1, 8, 0)
        assert Consul(server.url, version="1.15.2").version() == (1, 15, 2)
    finally:
        server.agent.resume()


def test_tls_with_a_client_certificate(server):
    for more in ({"client_cert": server.certificate, "client_key": server.key}, {"client_cert": server.both}):
        client = Consul(server.tls, token=MASTER, ca_path=server.ca, **more)
        assert client.kv_put(f"{KEYS}tls", "1") and client.kv_get(f"{KEYS}tls").value == "1"


def test_a_unix_socket(server):
    client = Consul(server.socket, token=MASTER)
    assert client.kv_put(f"{KEYS}unix/ö?/1", "1")
    assert client.kv_keys(f"{KEYS}unix/") == [f"{KEYS}unix/ö?/1"]
    assert client.url == server.socket
    with one_error(Unreachable, "Consul at unix:///no/where.sock gave no answer to GET /v1/kv/x: No such file", "consul_url", "3 times"):
        Consul("unix:///no/where.sock").kv_get("x")
    with one_error(AutoscaleError, "the absolute path of a socket"):
        Consul("unix://run/consul.sock")


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({}, Unreachable, ["certificate verify failed", "look at consul_ca_path"]),
        ({"ca_path": "{other_ca}", "client_cert": "{both}"}, Unreachable, ["certificate verify failed", "look at consul_ca_path"]),
        ({"ca_path": "{ca}"}, Unreachable, ["consul_client_cert and consul_client_key: ", "one that its authority signed"]),
        ({"ca_path": "/no/where.pem"}, AutoscaleError, ["consul_ca_path: /no/where.pem cannot be read on "]),
        ({"ca_path": "{ca}", "client_cert": "/no/where.pem"}, AutoscaleError, ["consul_client_cert and consul_client_key: /no/where.pem"]),
        ({"ca_path": "{ca}", "client_key": "{key}"}, AutoscaleError, ["there is a key and no certificate"]),
        ({"ca_path": "{ca}", "client_cert": "{certificate}"}, Unreachable, ["look at consul_ca_path and consul_client_cert"]),
        ({"ca_path": "{key}"}, Unreachable, ["look at consul_ca_path and consul_client_cert"]),
    ],
)
def test_tls_that_fails_names_the_option(server, options, kind, told):
    options = {name: value.format(**vars(server)) for name, value in options.items()}
    before = Consul(server.url).kv_keys(KEYS)
    with one_error(kind, *told):
        Consul(server.tls, token=WRONG, timeout=5, **options).kv_put(f"{KEYS}never", "1")
    assert Consul(server.url).kv_keys(KEYS) == before


def test_the_wrong_scheme_is_named(server):
    with one_error(Unreachable, "look at consul_url: nothing there speaks TLS"):
        Consul(f"https://{server.address}:8500").leader()
    with one_error(HttpError, "with 400", "look at consul_url: it has to begin with https"):
        Consul(f"http://{server.address}:8501").leader()


def test_an_agent_that_is_down(server):
    with one_error(
        Unreachable, f"Consul at http://{server.address}:1 gave no answer to PUT /v1/kv/x: ", "refused", "consul_url", "3 times"
    ):
        Consul(f"http://{server.address}:1").kv_put("x", "1", cas=0)


def test_a_wrong_token_is_waited_for_once(server):
    client = Consul(server.url, token=WRONG, timeout=1)
    told = "answered PUT /v1/kv/x with 403: ACL not found; Consul does not know this token: look at consul_token"
    began = time.monotonic()
    with one_error(HttpError, told, " times)"):
        client.kv_put("x", "1")
    for _number in range(3):
        with one_error(HttpError, told):
            client.kv_put("x", "1")
    assert time.monotonic() - began < 2
    assert Consul(server.url).kv_get("x") is None


def test_a_right_that_lacks_is_named(server):
    anybody = Consul(server.url, token="anonymous", timeout=0.5)
    with one_error(HttpError, "403: Permission denied", 'the token lacks key:read on "autoscale/": look at consul_token and its policies'):
        anybody.kv_tree(KEYS)
    with one_error(HttpError, 'the token lacks key:write on "autoscale/é x"'):
        anybody.kv_put("autoscale/é x", "1")
    with one_error(HttpError, 'the token lacks service:write on "never": look at consul_token and its policies'):
        anybody.register_service({"Name": "never"})
    with one_error(AutoscaleError, "the token lacks agent:read on the agent's node", "or set consul_version"):
        anybody.version()
    denied = 'Permission denied: the token lacks key:write on "autoscale/denied"'
    with one_error(AutoscaleError, "autoscale/denied were not written", denied):
        write_guarded(anybody, None, "", [("autoscale/denied", "1", None)])
    seen = Consul(server.url)
    assert "never" not in seen.agent_services() and not [key for key in seen.kv_keys(KEYS) if "denied" in key or "é" in key]


def test_an_agent_that_hangs(server):
    client = Consul(server.url, timeout=0.5)
    server.agent.pause()
    try:
        began = time.monotonic()
        with one_error(Unreachable, "gave no answer to PUT /v1/kv/hung: Read timed out", "stopped or overloaded", "consul_timeout"):
            client.kv_put("hung", "1", cas=0)
        # A time-out is not tried again, by reads neither.
        with one_error(Unreachable, "timed out"):
            client.kv_get("hung")
        assert time.monotonic() - began < 2
    finally:
        server.agent.resume()


def test_a_rate_limit_is_waited_for(server, network, folder):
    limits = {"limits": {"rpc_rate": 10.0, "rpc_max_burst": 2}, "acl": {"enabled": True, "tokens": {"agent": MASTER, "default": MASTER}}}
    tls = {"ca_file": server.ca, "cert_file": server.certificate, "key_file": server.key}
    options = {**limits, **tls, "verify_outgoing": True}
    with Agent("limited", f"{network}.2", folder / "limited", lab=str(folder), servers=[server.address], options=options) as agent:
        client = Consul(agent.url)
        # Also what must not be done twice: Consul refused it before it did anything.
        assert all(client.kv_put(f"{KEYS}limited/{number}", "x", cas=0) for number in range(10))
        hasty = Consul(agent.url, timeout=0.05)
        with one_error(HttpError, "with 429 Too Many Requests; ", "look at its rate limits"):
            for _number in range(20):
                hasty.kv_keys(f"{KEYS}limited/")
    assert len(Consul(server.url).kv_keys(f"{KEYS}limited/")) == 10


def test_what_is_too_large_is_refused_before_it_is_sent(server):
    client = Consul(server.url)
    large, limit = "x" * 600 * 1024, 512 * 1024
    with one_error(AutoscaleError, f"Consul KV {KEYS}large: {600 * 1024} bytes are too many, at most {limit} are allowed"):
        client.kv_put(f"{KEYS}large", large)
    assert client.kv_put(f"{KEYS}fits", "x" * limit)
    # A transaction takes less: its values are sent as base64. What would have gone before is not written.
    fitting, wide = "x" * 390_000, "x" * 400_000
    with one_error(AutoscaleError, f"Consul KV {KEYS}large/2: ", "a transaction has room for "):
        write_guarded(client, None, "large", [(f"{KEYS}large/1", "1", 0), (f"{KEYS}large/2", wide, 0)])
    assert client.kv_keys(f"{KEYS}large") == []
    # Together they are too large, so that they go one after the other.
    write_guarded(client, None, "large", [(f"{KEYS}large/{number}", fitting, 0) for number in range(3)])
    assert [len(entry.value) for entry in client.kv_tree(f"{KEYS}large/")] == [len(fitting)] * 3


def test_a_server_with_a_smaller_limit_says_so(server):
    with one_error(HttpError, "with 413", "too large"):
        # Past the guard, as a server would see it whose limit is lower.
        Consul(server.url)._http.request("PUT", "/v1/kv/past", data=b"x" * 600 * 1024)
    assert Consul(server.url).kv_get("past") is None


def test_more_operations_than_a_transaction_takes(server):
    client = Consul(server.url)
    held = locks.acquire(client, ["autoscale/long/lock"], "me", ttl=30, lock_delay=0)
    writes = [(f"{KEYS}long/{number:03}", "x", 0) for number in range(200)]
    write_guarded(client, held.session, "long", writes)
    assert len(client.kv_keys(f"{KEYS}long/")) == 201
    # One part is all or nothing, and each has the guard.
    with pytest.raises(Conflict, match="long/000"):
        write_guarded(client, held.session, "long", [(f"{KEYS}long/new", "x", 0), *writes[:10]])
    assert client.kv_get(f"{KEYS}long/new") is None
    locks.release(client, held.session)
    with pytest.raises(locks.LockLost):
        write_guarded(client, held.session, "long", [(f"{KEYS}long/after/{number}", "x", 0) for number in range(100)])
    assert client.kv_keys(f"{KEYS}long/after") == []


def test_a_valid_token_just_after_the_start_of_an_agent(server):
    server.agent.stop()
    server.agent.start()
    wait_until(lambda: socket.create_connection((server.address, 8500), 1).close() is None, "it listens")
    # No leader yet, or no tokens: both pass, and the first request waits for it.
    assert Consul(server.url, token=MASTER).kv_put(f"{KEYS}early", "1")
    server.agent.wait_ready()


@pytest.mark.parametrize("name", [".", "..", f"{KEYS}../acl", f"{KEYS}./x"])
def test_a_name_that_would_lead_elsewhere_is_refused(server, name):
    with one_error(AutoscaleError, "is not allowed as a name in a URL"):
        Consul(server.url).kv_get(name)


def test_a_session_is_checked_before_it_is_sent(server):
    with one_error(AutoscaleError, "session '../../kv/x' is not allowed"):
        Consul(server.url).session_destroy("../../kv/x")


OPTIONS = {name: option.get("default") for name, option in argspec.CONSUL.options.items()}


def opened(server, **options):
    return connect({**OPTIONS, "consul_url": server.url, "consul_timeout": 0.3, **options}.__getitem__)


def test_a_token_comes_from_where_it_is(server, tmp_path, monkeypatch):
    good, bad, empty = tmp_path / "good", tmp_path / "bad", tmp_path / "empty"
    good.write_text(f"{MASTER}\n")
    bad.write_text(WRONG)
    empty.touch()
    for name in ("CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    def known(**options):
        client = opened(server, **options)
        try:
            return client.kv_get("x") is None
        except HttpError as error:
            assert "Consul does not know this token" in error.message
            return False

    assert known(consul_token_file=str(good)) and not known(consul_token_file=str(bad))
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", WRONG)
    # The spec takes this one from the environment.
    assert not known(consul_token=WRONG) and known(consul_token=WRONG, consul_token_file=str(good))
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(good))
    assert known(consul_token=WRONG) and known() and not known(consul_token=WRONG.replace("b", "c"))
    with one_error(AutoscaleError, "consul_token and consul_token_file exclude each other"):
        opened(server, consul_token=MASTER, consul_token_file=str(good))
    with one_error(AutoscaleError, "consul_token_file: /no/where cannot be read on ", ": No such file or directory"):
        opened(server, consul_token_file="/no/where")
    with one_error(AutoscaleError, f"{empty} on ", " is empty"):
        opened(server, consul_token_file=str(empty))
    with one_error(AutoscaleError, "the value of the header X-Consul-Token has characters that a header cannot have"):
        opened(server, consul_token=f"{MASTER}\nb")
    with one_error(AutoscaleError, "consul_timeout: must be greater than 0, got 0"):
        opened(server, consul_timeout=0.0)


def test_the_doors_take_connections_from_options_and_from_the_environment(server, run_module, monkeypatch, tmp_path):
    token = tmp_path / "token"
    token.write_text(MASTER)
    asked = {"services": ["consul"], "consul_url": server.tls, "consul_token_file": str(token)}
    options = {"consul_ca_path": server.ca, "consul_client_cert": server.certificate, "consul_client_key": server.key}
    assert len(run_module("consul_service_info", {**asked, **options})["instances"]) == 1
    for name, path in (("CONSUL_CACERT", server.ca), ("CONSUL_CLIENT_CERT", server.certificate), ("CONSUL_CLIENT_KEY", server.key)):
        monkeypatch.setenv(name, path)
    assert len(run_module("consul_service_info", asked)["instances"]) == 1


LOOKUP = "{{ query('microservices.autoscale.consul_service', 'consul') | map(attribute='node') }}"
PLAY = f"""
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  tasks:
    - ansible.builtin.include_role:
        name: microservices.autoscale.status
    - ansible.builtin.assert:
        that: status_fleet.services == []
    - ansible.builtin.debug:
        msg: "found {LOOKUP}"
"""


def test_roles_and_lookups_take_the_options_from_one_variable(server, run_playbook, tmp_path):
    token, play = tmp_path / "token", tmp_path / "play.yml"
    token.write_text(MASTER)
    play.write_text(PLAY)
    options = {"consul_ca_path": server.ca, "consul_client_cert": server.certificate, "consul_client_key": server.key}
    variables = {"autoscale_consul_url": server.tls, "autoscale_consul_options": {**options, "consul_token_file": str(token)}}
    run = run_playbook(play, "-i", "localhost,", "-c", "local", extra_vars=variables).succeeded()
    assert "found ['server']" in run.output
    del variables["autoscale_consul_options"]["consul_client_cert"]
    refused = run_playbook(play, "-i", "localhost,", "-c", "local", extra_vars=variables)
    assert refused.code != 0 and "there is a key and no certificate" in refused.output
