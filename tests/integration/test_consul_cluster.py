# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three real servers: when the cluster can spare one, and what an agent takes over by a reload."""

from __future__ import annotations

import grp
import json
import os
import pwd
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import requests
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.config_files import InvalidConfiguration
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul_program import AgentFile, ConsulProgram
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, WaitTimeout
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.consul_agent import configure
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.consul_cluster import cluster_info
from processes import Consul, Process, find_program, http_get, wait_until

MANAGEMENT = "6e0ad1d5-8f4b-4b8c-9d0e-2f7c1a5b3e99"
NAMES = ("con1", "con2", "con3")


@pytest.fixture(scope="module")
def servers(network, folder):
    """Three servers with ACLs; what brings no token may do all."""
    addresses = [f"{network}.{number}" for number in (5, 6, 7)]
    options = {
        "bootstrap_expect": 3,
        "retry_join": addresses,
        "retry_interval": "200ms",
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": MANAGEMENT, "default": MANAGEMENT, "agent": MANAGEMENT}},
    }
    found = {
        name: Consul(name, address, folder / name, lab=str(folder), options=options) for name, address in zip(NAMES, addresses, strict=True)
    }
    for server in found.values():
        server.start()
    for server in found.values():
        server.wait_ready(60)
    yield found
    for server in found.values():
        server.stop()


def settled(server, timeout=60.0, token=None):
    return cluster_info(Client(server.url, token=token), wait="settled", servers=3, timeout=timeout).facts


def test_a_whole_cluster_says_who_leads(servers):
    seen = [settled(server) for server in servers.values()]
    assert {facts["leader"] for facts in seen} == {seen[0]["leader"]}
    assert [facts["agent"]["leader"] for facts in seen].count(True) == 1
    assert {server["name"] for server in seen[0]["servers"]} == set(NAMES)


def test_one_that_was_killed_cannot_be_spared_by_the_others_and_is_back_when_it_has_caught_up(servers):
    follower = next(name for name, server in servers.items() if not settled(server)["agent"]["leader"])
    others = [server for name, server in servers.items() if name != follower]
    servers[follower].kill()
    # At once, long before gossip knows.
    with pytest.raises(WaitTimeout, match=rf"the server {follower} \(.*\) (does not answer|is failed as a member)"):
        settled(others[0], timeout=0.5)
    for number in range(50):
        requests.put(f"{others[0].url}/v1/kv/written/{number}", data=b"x", timeout=5).raise_for_status()
    behind = int(requests.get(f"{others[0].url}/v1/kv/written/49", timeout=5).headers["X-Consul-Index"])
    servers[follower].start()
    settled(servers[follower])
    own = json.loads(http_get(f"{servers[follower].url}/v1/agent/self"))
    assert int(own["Stats"]["raft"]["applied_index"]) >= behind


def test_a_leader_that_was_killed_is_followed_by_another(servers):
    leader = next(name for name, server in servers.items() if settled(server)["agent"]["leader"])
    before = settled(servers[leader])["leader"]
    servers[leader].kill()
    other = next(server for name, server in servers.items() if name != leader)
    wait_until(lambda: json.loads(http_get(f"{other.url}/v1/status/leader")) not in ("", before), "another one leads", 30)
    servers[leader].start()
    assert settled(servers[leader])["leader"] != before


def test_a_right_that_is_missing_is_named_without_waiting_for_it(servers):
    server = servers["con1"]
    made = requests.put(f"{server.url}/v1/acl/token", json={"Description": "no rights"}, timeout=5).json()
    started = time.monotonic()
    with pytest.raises(HttpError, match="the token lacks agent:read"):
        settled(server, token=made["SecretID"])
    rules = {"Name": "agent-read", "Rules": 'agent_prefix "" { policy = "read" }'}
    policy = requests.put(f"{server.url}/v1/acl/policy", json=rules, timeout=5).json()
    made = requests.put(f"{server.url}/v1/acl/token", json={"Policies": [{"ID": policy["ID"]}]}, timeout=5).json()
    with pytest.raises(HttpError, match="the token lacks operator:read"):
        settled(server, token=made["SecretID"])
    assert time.monotonic() - started < 20
    # Nothing is needed to see that there is a leader.
    assert cluster_info(Client(server.url, token=made["SecretID"]), wait="leader", servers=3, timeout=5).facts["leader"]


def test_nobody_there_is_told_with_what_was_tried(network):
    with pytest.raises(WaitTimeout, match="Consul at .* gave no answer"):
        cluster_info(Client(f"http://{network}.99:8500"), wait="settled", servers=3, timeout=0.5)


# the file of an agent


def written(folder: Path, *, check: bool = False, tokens=None, **settings):
    """Bring the file in the folder to some settings."""
    return configure(
        ConsulProgram(find_program("consul")),
        AgentFile(str(folder / "agent.json"), pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name),
        settings={"data_dir": str(folder / "data"), "bind_addr": "127.0.0.1", "retry_join": ["192.0.2.5"], **settings},
        secrets={"acl_tokens": tokens or {}},
        started_with={"unit": "a unit"},
        record=folder / "agent.applied",
        check=check,
    )


def test_a_file_is_written_once_and_closed_to_others(tmp_path):
    token = {"agent": MANAGEMENT}
    first = written(tmp_path, check=True, acl={"enabled": True}, tokens=token)
    assert first.changed
    assert not (tmp_path / "agent.json").exists()
    done = written(tmp_path, acl={"enabled": True}, tokens=token)
    assert done.changes == first.changes
    assert MANAGEMENT not in str(done.diff) + str(done.facts)
    assert (tmp_path / "agent.json").stat().st_mode & 0o777 == 0o640
    assert json.loads((tmp_path / "agent.json").read_text())["acl"]["tokens"] == token
    again = written(tmp_path, acl={"enabled": True}, tokens=token)
    assert not again.changed
    # Until it is noted that the agent was started with it.
    assert again.facts["apply"] == "restart"
    (tmp_path / "agent.applied").write_text(again.facts["record"])
    assert written(tmp_path, acl={"enabled": True}, tokens=token).facts["apply"] == "none"
    # Somebody opened it.
    (tmp_path / "agent.json").chmod(0o644)
    assert written(tmp_path, acl={"enabled": True}, tokens=token).changed
    assert (tmp_path / "agent.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (
            {"config": {"no_such_key": 1}},
            InvalidConfiguration,
            r"(?s)Consul 1\.8\.7 refuses the new .*agent.json, and .* unchanged: .*no_such_key",
        ),
        ({"server": True, "bootstrap_expect": 3, "config": {"bootstrap": True}}, InvalidConfiguration, "bootstrap"),
        ({"tls": {"ca_file": "/nowhere/ca.pem"}}, AutoscaleError, r"consul_tls.ca_file: /nowhere/ca.pem cannot be read on this host"),
        ({"ports": {"grpc_tls": 8503}}, AutoscaleError, r"consul_ports.grpc_tls: Consul 1.8.7 does not know it"),
    ],
)
def test_what_is_refused_never_gets_there(tmp_path, settings, error, words):
    written(tmp_path)
    before = (tmp_path / "agent.json").read_text()
    with pytest.raises(error, match=words):
        written(tmp_path, **settings)
    assert (tmp_path / "agent.json").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.json"]


def test_an_agent_takes_over_by_a_reload_what_is_said_to_need_no_more(network, folder):
    home = folder / "reload"
    home.mkdir()
    _certificates(home)
    address = f"{network}.9"
    settings = {
        "server": True,
        "bootstrap_expect": 1,
        "retry_join": [],
        "raft_multiplier": 1,
        "bind_addr": address,
        "client_addr": address,
        "ports": {"dns": -1, "grpc": -1, "serf_wan": -1, "https": 8501},
        "log_level": "warn",
        "tls": {"ca_file": str(home / "consul-agent-ca.pem"), "cert_file": str(home / "cert.pem"), "key_file": str(home / "key.pem")},
    }
    first = written(home, **settings, config={"node_meta": {"rack": "1"}})
    (home / "agent.applied").write_text(first.facts["record"])
    command = [find_program("consul"), "agent", f"-config-file={home / 'agent.json'}"]
    ready = lambda: json.loads(http_get(f"http://{address}:8500/v1/status/leader"))  # noqa: E731
    with Process("consul-reload", command, home, ready=ready, lab=str(folder)) as agent:
        served = ssl.get_server_certificate((address, 8501))
        _certificates(home)
        second = written(home, **{**settings, "log_level": "info"}, config={"node_meta": {"rack": "2"}})
        files = [f"file {home / name}" for name in ("cert.pem", "consul-agent-ca.pem", "key.pem")]
        assert (second.facts["apply"], second.facts["apply_for"]) == ("reload", [*files, "log_level", "node_meta.rack"])
        os.kill(agent.pid, signal.SIGHUP)

        wait_until(lambda: json.loads(http_get(f"http://{address}:8500/v1/agent/self"))["Meta"]["rack"] == "2", "it has its new meta data")
        # What it says of a new service is of a lower level than it had before.
        requests.put(f"http://{address}:8500/v1/agent/service/register", json={"Name": "words"}, timeout=10).raise_for_status()
        wait_until(lambda: "[INFO]  agent: Synced service" in agent.log.read_text(), "it logs as it is told now")
        wait_until(lambda: ssl.get_server_certificate((address, 8501)) != served, "it shows its new certificate")


def _certificates(home: Path) -> None:
    """A new authority, and a certificate of it."""
    for path in home.glob("*.pem"):
        path.unlink()
    for words in (["ca", "create"], ["cert", "create", "-server"]):
        subprocess.run([find_program("consul"), "tls", *words], cwd=home, check=True, capture_output=True)
    (home / "dc1-server-consul-0.pem").rename(home / "cert.pem")
    (home / "dc1-server-consul-0-key.pem").rename(home / "key.pem")
