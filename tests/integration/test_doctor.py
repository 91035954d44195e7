# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doctor on the local lab: nothing wrong, and each thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from processes import Nginx

pytestmark = pytest.mark.usefixtures("lab")


@pytest.fixture
def options(lab: Lab) -> dict[str, Any]:
    return {
        "consul_url": f"http://{lab.address('app1')}:8500",
        "providers": ["supervisor"],
        "state_dir": str(lab.root / "app1" / "state"),
        "supervisor_socket": str(lab.supervisors["app1"].socket),
        "supervisor_conf_dir": str(lab.supervisors["app1"].conf_dir),
        "haproxy_socket": str(lab.haproxy.socket),
        "haproxy_base_config": str(lab.haproxy.base_config),
        "haproxy_config_dir": str(lab.haproxy.config_dir),
        "haproxy_binary": lab.haproxy.binary,
        "haproxy_pid_file": str(lab.haproxy.pid_file),
        "prometheus_url": lab.prometheus.url,
    }


@pytest.fixture
def wrong(run_module: Callable[..., dict[str, Any]], options: dict[str, Any]) -> Callable[..., dict[str, dict[str, Any]]]:
    """What is wrong for a scope with some options changed, by the name of the check."""

    def call(scope: str, **changes: Any) -> dict[str, dict[str, Any]]:
        result = run_module("doctor_info", {"scope": [scope], **options, **changes})
        assert result["changed"] is False, result
        bad = {check["name"]: check for check in result["checks"] if not check["ok"]}
        assert result["ok"] is (not bad)
        assert all(check["mend"] for check in bad.values())
        return bad

    return call


def test_a_lab_that_works_is_well_and_a_limit_does_not_hide_the_controller(lab: Lab, run_playbook: Callable[..., Any]) -> None:
    done = run_playbook("doctor", lab=lab).succeeded()
    assert "WRONG" not in done.output and done.changed == 0
    for machine in ("controller", "app1", "app2", "lb1"):
        assert f"{machine.ljust(10)}  ok     python" in done.output, done.output
    limited = run_playbook("doctor", "--limit", "app1", lab=lab).succeeded()
    assert "controller  ok     consul leader" in limited.output and "app2" not in limited.output


def test_a_host_that_does_not_answer_is_one_line(lab: Lab, run_playbook: Callable[..., Any], tmp_path: Path) -> None:
    # 255 is what ssh ends with when there is no connection.
    dead = tmp_path / "ssh"
    dead.write_text("#!/bin/sh\necho no route to host >&2\nexit 255\n")
    dead.chmod(0o755)
    more = tmp_path / "more.ini"
    more.write_text(f"app2 ansible_connection=ssh ansible_ssh_executable={dead} ansible_ssh_transfer_method=piped\n")
    done = run_playbook("doctor", "-i", lab.environment["ANSIBLE_INVENTORY"], "-i", str(more), lab=lab)
    assert done.code != 0
    lines = [line for line in done.output.splitlines() if line.lstrip().startswith('"app2')]
    assert len(lines) == 1 and "WRONG  reachable" in lines[0], done.output
    assert "app2: reachable:" in done.output and "To mend it: start it" in done.output
    assert "app1        ok     supervisord" in done.output


def test_a_host_whose_variables_are_refused_is_one_line_too(lab: Lab, run_playbook: Callable[..., Any], tmp_path: Path) -> None:
    more = tmp_path / "more.ini"
    more.write_text("lb1 autoscale_balancer_provider=ngnix\n")
    done = run_playbook("doctor", "-i", lab.environment["ANSIBLE_INVENTORY"], "-i", str(more), lab=lab)
    assert done.code != 0 and "lb1         WRONG  examined" in done.output, done.output
    assert "app1        ok     supervisord" in done.output


def test_what_is_wrong_on_a_host_is_named(lab: Lab, wrong: Callable[..., dict[str, dict[str, Any]]]) -> None:
    assert wrong("host", consul_node="app1") == {}
    assert "'app1', the inventory says 'app7'" in wrong("host", consul_node="app7")["consul node"]["found"]
    nobody = f"http://{lab.address('app1')}:1"
    assert set(wrong("host", consul_url=nobody)) == {"consul agent", "consul rights of the host", "consul node", "clock", "instances"}
    assert nobody in wrong("host", consul_url=nobody)["consul agent"]["found"]
    assert set(wrong("host", supervisor_socket="/nowhere.sock")) == {"supervisord"}
    # Only what runs instances here is looked at; the other is not.
    unknown = wrong("host", providers=["systemd", "supervisor"], systemd_unit_dir="/no/units")
    assert set(unknown) == {"systemd"}, unknown
    assert set(wrong("host", state_dir=f"{lab.haproxy.base_config}/state")) == {"folders"}
    assert set(wrong("host", state_dir="/has a space")) >= {"folders"}
    orphan = lab.root / "app1" / "state" / "instances" / "left-app1-1"
    orphan.mkdir(parents=True)
    assert "left-app1-1" in wrong("host")["instances"]["found"]
    orphan.rmdir()


def test_what_is_wrong_on_a_balancer_is_named(lab: Lab, wrong: Callable[..., dict[str, dict[str, Any]]]) -> None:
    assert wrong("balancer") == {}
    assert set(wrong("balancer", haproxy_socket="/nowhere.sock")) == {"haproxy socket", "haproxy master"}
    assert set(wrong("balancer", haproxy_pid_file="/no.pid")) == {"haproxy master"}
    forgetful = lab.root / "forgetful.cfg"
    forgetful.write_text(lab.haproxy.base_config.read_text().replace("server-state-file", "# "))
    assert "server-state-file" in wrong("balancer", haproxy_base_config=str(forgetful))["haproxy master"]["found"]
    assert set(wrong("balancer", haproxy_binary="no-haproxy")) == {"haproxy configuration"}
    broken = lab.haproxy.config_dir / "broken.cfg"
    broken.write_text("frontend x\n    nonsense\n")
    try:
        assert "nonsense" in wrong("balancer")["haproxy configuration"]["found"]
    finally:
        broken.unlink()


def test_what_is_wrong_on_an_nginx_is_named(nginx: Nginx, wrong: Callable[..., dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    options = {
        "balancer": "nginx",
        "nginx_base_config": str(nginx.base_config),
        "nginx_config_dir": str(nginx.config_dir),
        "nginx_binary": nginx.binary,
        "nginx_pid_file": str(nginx.pid_file),
        "nginx_access_log": str(nginx.access_log),
        # HAProxy is not looked for.
        "haproxy_socket": "/nowhere.sock",
    }
    assert wrong("balancer", **options) == {}
    assert set(wrong("balancer", **{**options, "nginx_pid_file": str(tmp_path / "no.pid")})) == {"nginx process"}
    for name, value, words in (
        ("nginx_binary", "no-nginx", "no-nginx"),
        ("nginx_base_config", str(tmp_path / "no.conf"), "does not exist"),
        ("nginx_config_dir", str(tmp_path), "does not include"),
        ("nginx_access_log", str(tmp_path / "no" / "autoscale.log"), "access log"),
    ):
        assert words in wrong("balancer", **{**options, name: value})["nginx configuration"]["found"]
    broken = nginx.config_dir / "broken.conf"
    broken.write_text("nonsense;\n")
    try:
        assert "nonsense" in wrong("balancer", **options)["nginx configuration"]["found"]
    finally:
        broken.unlink()


def test_what_is_wrong_on_the_controller_is_named(
    lab: Lab, wrong: Callable[..., dict[str, dict[str, Any]]], run_module: Callable[..., dict[str, Any]]
) -> None:
    assert wrong("controller") == {}
    assert set(wrong("controller", prometheus_url=f"http://{lab.address('app1')}:1")) == {"prometheus", "prometheus labels"}
    assert set(wrong("controller", prometheus_url="")) == {"prometheus", "prometheus labels"}
    gone = wrong("controller", consul_url=f"http://{lab.address('app1')}:1")
    assert set(gone) == {"consul", "consul leader", "consul rights of the controller", "consul sessions", "clock", "schedules"}
    lab.server.pause()
    try:
        unled = wrong("controller", consul_timeout=2.0)
        assert "consul sessions" in unled
    finally:
        lab.server.resume()
