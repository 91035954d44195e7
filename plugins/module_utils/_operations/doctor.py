# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Checks every prerequisite and connection of one machine, and says how to mend what is wrong."""

from __future__ import annotations

import dataclasses
import email.utils
import importlib.util
import platform
import sys
import time
from typing import Any, Callable, Iterable, Sequence

from .._clients.consul import Consul
from .._clients.prometheus import Prometheus
from .._clients.sockets import established
from .._domain.errors import AutoscaleError
from .._domain.providers import SUPERVISOR, SYSTEMD
from . import doctor_balancer, doctor_host, doctor_rights, doctor_schedules

OLDEST_PYTHON = (3, 9)
OLDEST_CONSUL = (1, 8, 0)
# Times are compared across machines with windows of tens of seconds.
CLOCK_TOLERANCE_SECONDS = 5.0
_SESSION_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Setup:
    """Where things are said to be; an empty URL means that it is not said.

    Args:
        connect: gives a client for Consul; raises AutoscaleError where an option of its own is wrong.
        consul_node: the name that the agent of this host has to have; empty does not compare.
        services: whose instances this host may run, for the rights of its token; empty for any.
        providers: what runs instances on this host.
        balancer: the kind of the balancer, haproxy or nginx.
    """

    connect: Callable[[], Consul]
    consul_url: str
    consul_node: str
    prometheus_url: str
    prometheus_timeout: float
    services: Sequence[str]
    providers: Sequence[str]
    state_dir: str
    systemd_unit_dir: str
    supervisor_socket: str
    supervisor_conf_dir: str
    balancer: str
    haproxy_socket: str
    haproxy_base_config: str
    haproxy_config_dir: str
    haproxy_binary: str
    haproxy_pid_file: str
    nginx_base_config: str
    nginx_config_dir: str
    nginx_binary: str
    nginx_pid_file: str
    nginx_access_log: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        found: what was seen, also when all is well.
        mend: what to do; empty when all is well.
    """

    name: str
    ok: bool
    found: str
    mend: str

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class _Wrong(Exception):
    """A check saw something that works and is not as it has to be."""


Probe = Callable[[Setup], str]


def examine(setup: Setup, scopes: Iterable[str]) -> list[Finding]:
    """Run the checks of some scopes (controller, host, balancer), each check once; an error of one is its finding."""
    probes: dict[str, tuple[Probe, str]] = {}
    for scope in scopes:
        probes.update(_SCOPES[scope])
        if scope == "host":
            probes.update(_PROVIDERS[provider] for provider in setup.providers)
        if scope == "balancer":
            probes.update(_BALANCERS[setup.balancer])
    return [_finding(name, probe, mend, setup) for name, (probe, mend) in probes.items()]


def _finding(name: str, probe: Probe, mend: str, setup: Setup) -> Finding:
    try:
        return Finding(name, True, probe(setup), "")
    except _Wrong as wrong:
        return Finding(name, False, str(wrong), mend)
    except AutoscaleError as error:
        return Finding(name, False, error.message, mend)
    except OSError as error:
        return Finding(name, False, f"{error.strerror or error}: {error.filename or ''}", mend)


def _python(_setup: Setup) -> str:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise _Wrong(found)
    return found


def _importable(*modules: str) -> Probe:
    def probe(_setup: Setup) -> str:
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            raise _Wrong(f"{', '.join(missing)} cannot be imported by {sys.executable}")
        return ", ".join(modules)

    return probe


def _agent_version(setup: Setup) -> str:
    version = setup.connect().version()
    told = f"{setup.consul_url} runs {'.'.join(map(str, version))}"
    if version < OLDEST_CONSUL:
        raise _Wrong(told)
    return told


def _leader(setup: Setup) -> str:
    leader = setup.connect().leader()
    if not leader:
        raise _Wrong("the servers have no leader")
    return leader


def _rights(scope: str) -> tuple[Probe, str]:
    mend = f"give the token the policies {scope}.hcl and doctor.hcl in docs/consul_policies"
    return lambda setup: doctor_rights.examine(setup.connect(), scope, setup.services), mend


def _locks(setup: Setup) -> str:
    consul = setup.connect()
    session = consul.session_create(name="autoscale doctor", ttl=_SESSION_SECONDS, lock_delay=0.0)
    consul.session_destroy(session)
    return "a session was created and destroyed"


def _node(setup: Setup) -> str:
    name = str(setup.connect().agent_self()["Config"]["NodeName"])
    if setup.consul_node and name != setup.consul_node:
        raise _Wrong(f"the agent at {setup.consul_url} is node {name!r}, the inventory says {setup.consul_node!r}")
    return name


def _clock(setup: Setup) -> str:
    consul = setup.connect()
    sent = time.time()
    date = consul.date()
    if not date:
        raise _Wrong("Consul's answer has no Date")
    # The header has whole seconds, cut off: in the middle it is half a second older than the answer.
    theirs = email.utils.parsedate_to_datetime(date).timestamp() + 0.5
    difference = (sent + time.time()) / 2 - theirs
    if abs(difference) > CLOCK_TOLERANCE_SECONDS:
        raise _Wrong(f"this machine is {difference:+.0f} s away from {setup.consul_url}")
    return f"within {CLOCK_TOLERANCE_SECONDS:g} s of {setup.consul_url}"


def _prometheus(setup: Setup) -> str:
    if not setup.prometheus_url:
        raise _Wrong("no URL is given")
    Prometheus(setup.prometheus_url, timeout=setup.prometheus_timeout).query("vector(1)")
    return setup.prometheus_url


def _series(setup: Setup) -> str:
    if not setup.prometheus_url:
        raise _Wrong("no URL of Prometheus is given")
    client = Prometheus(setup.prometheus_url, timeout=setup.prometheus_timeout)
    counts = []
    for labels in ('service=~".+"', 'service=~".+",instance_id=~".+",host=~".+"'):
        samples = client.query(f"count(up{{{labels}}})")
        counts.append(int(samples[0].value) if samples else 0)
    if counts[0] > counts[1]:
        raise _Wrong(f"{counts[0] - counts[1]} of {counts[0]} targets with the label service have no labels instance_id and host")
    return f"{counts[1]} targets with service, instance_id and host" if counts[1] else "no instance is scraped yet"


def _folders(setup: Setup) -> str:
    folders = {SYSTEMD: setup.systemd_unit_dir, SUPERVISOR: setup.supervisor_conf_dir}
    return doctor_host.writable_folders(setup.state_dir, [folders[provider] for provider in setup.providers])


def _connections(_setup: Setup) -> str:
    established(set())
    return "/proc/net/tcp"


_PYTHON = (_python, f"install Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later and set ansible_python_interpreter")
_REQUESTS = (_importable("requests"), "install it for this interpreter (Debian: apt install python3-requests)")
_AGENT = (_agent_version, "start Consul 1.8 or later there, or correct the URL (autoscale_consul_url, autoscale_agent_url) and the token")
_CLOCK = (_clock, "keep the clocks of all machines together with NTP (chrony, systemd-timesyncd)")

_SCOPES: dict[str, dict[str, tuple[Probe, str]]] = {
    "controller": {
        "python": _PYTHON,
        "python libraries": (
            _importable("requests", "jmespath"),
            "install them for this interpreter (Debian: apt install python3-requests python3-jmespath)",
        ),
        "consul": _AGENT,
        "consul leader": (_leader, "look at `consul operator raft list-peers` and the servers' logs"),
        "consul rights of the controller": _rights("controller"),
        "consul sessions": (_locks, 'give the token session_prefix "" with policy write; the agent\'s node has to be registered'),
        "clock": _CLOCK,
        "schedules": (
            lambda setup: doctor_schedules.evaluated(setup.connect()),
            "install what is missing for the Python that runs Ansible (pip install cronsim tzdata), or correct and deploy the service",
        ),
        "prometheus": (_prometheus, "start Prometheus, or correct autoscale_prometheus_url"),
        "prometheus labels": (_series, "write the scrape configuration with the role microservices.autoscale.prometheus"),
    },
    "host": {
        "python": _PYTHON,
        "python libraries": _REQUESTS,
        "consul agent": _AGENT,
        "consul rights of the host": _rights("host"),
        "consul node": (_node, "set autoscale_consul_node for this host to the node's name, or autoscale_agent_url to its own agent"),
        "clock": _CLOCK,
        "folders": (
            _folders,
            "correct autoscale_state_dir and the folder of the provider, or become a user who may write there",
        ),
        "instances": (
            lambda setup: doctor_host.orphans(setup.state_dir, setup.connect(), setup.consul_url),
            "a run was killed on its way: when no run is going on, take them away with microservices.autoscale.instance state: absent",
        ),
        "connections": (_connections, "Linux with /proc is needed to see whether anybody is connected before a stop"),
    },
    "balancer": {
        "python": _PYTHON,
        "python libraries": _REQUESTS,
        "consul agent": _AGENT,
        "consul rights of the balancer": _rights("balancer"),
        "clock": _CLOCK,
    },
}
_BALANCERS: dict[str, dict[str, tuple[Probe, str]]] = {
    "haproxy": {
        "haproxy socket": (
            lambda setup: doctor_balancer.haproxy_socket(setup.haproxy_socket),
            "in HAProxy's global section: stats socket <autoscale_haproxy_socket> level admin; the task's user has to open it",
        ),
        "haproxy master": (
            lambda setup: doctor_balancer.haproxy_master(
                setup.haproxy_pid_file, setup.haproxy_socket, setup.haproxy_base_config, setup.haproxy_config_dir, setup.haproxy_binary
            ),
            "start HAProxy with -W -p <autoscale_haproxy_pid_file>, or correct that; the task's user has to be allowed to signal it",
        ),
        "haproxy configuration": (
            lambda setup: doctor_balancer.haproxy_config(setup.haproxy_base_config, setup.haproxy_config_dir, setup.haproxy_binary),
            "correct autoscale_haproxy_base_config, autoscale_haproxy_config_dir and autoscale_haproxy_binary, or what HAProxy names",
        ),
    },
    "nginx": {
        "nginx process": (
            lambda setup: doctor_balancer.nginx_process(setup.nginx_pid_file),
            "start Nginx, or correct autoscale_nginx_pid_file; the task's user has to be allowed to signal it",
        ),
        "nginx configuration": (
            lambda setup: doctor_balancer.nginx_config(
                setup.nginx_base_config, setup.nginx_config_dir, setup.nginx_binary, setup.nginx_access_log
            ),
            "correct autoscale_nginx_base_config, _config_dir, _binary and _access_log, or what Nginx names",
        ),
    },
}

# What a host needs for each provider: the check's name, and the check.
_PROVIDERS: dict[str, tuple[str, tuple[Probe, str]]] = {
    SYSTEMD: (
        "systemd",
        (
            lambda setup: doctor_host.systemd(setup.state_dir, setup.systemd_unit_dir),
            "run tasks as root (become), correct autoscale_systemd_unit_dir; a host without systemd: autoscale_providers: [supervisor]",
        ),
    ),
    SUPERVISOR: (
        "supervisord",
        (
            lambda setup: doctor_host.supervisord(setup.state_dir, setup.supervisor_socket, setup.supervisor_conf_dir),
            "start it, correct autoscale_supervisor_socket, and let tasks run as its user (Debian: apt install supervisor)",
        ),
    ),
}
