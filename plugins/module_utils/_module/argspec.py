# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Argument specs as values: options travel together with the rules that hold between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible.module_utils.basic import env_fallback


@dataclasses.dataclass(frozen=True)
class ArgumentSpec:
    """Options of a module and the constraints between them (required_if, mutually_exclusive …)."""

    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    constraints: dict[str, list[Any]] = dataclasses.field(default_factory=dict)

    def __add__(self, other: ArgumentSpec) -> ArgumentSpec:
        constraints = {
            name: self.constraints.get(name, []) + other.constraints.get(name, []) for name in {**self.constraints, **other.constraints}
        }
        return ArgumentSpec({**self.options, **other.options}, constraints)


# Twin of the doc fragment "consul".
CONSUL = ArgumentSpec(
    {
        "consul_url": {"type": "str", "default": "http://127.0.0.1:8500"},
        "consul_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CONSUL_HTTP_TOKEN"])},
        # Its variable of the environment is looked at where both are known: an option goes before either.
        "consul_token_file": {"type": "path"},
        "consul_ca_path": {"type": "path", "fallback": (env_fallback, ["CONSUL_CACERT"])},
        "consul_client_cert": {"type": "path", "fallback": (env_fallback, ["CONSUL_CLIENT_CERT"])},
        "consul_client_key": {"type": "path", "fallback": (env_fallback, ["CONSUL_CLIENT_KEY"])},
        "consul_timeout": {"type": "float", "default": 10.0},
        "consul_version": {"type": "str"},
    }
)

# Twin of the doc fragment "catalog": which instances are read, from where, and how fresh.
CATALOG = ArgumentSpec(
    {
        "tags": {"type": "list", "elements": "str", "default": []},
        "filter": {"type": "str"},
        "near": {"type": "str"},
        "datacenter": {"type": "str"},
        "consistency": {"type": "str", "choices": ["default", "stale", "consistent"], "default": "default"},
        "cached": {"type": "bool", "default": False},
        "namespace": {"type": "str"},
        "partition": {"type": "str"},
        "peer": {"type": "str"},
        "minimum": {"type": "int", "default": 0},
    }
)

_CONSUL_CHECK = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "http": {"type": "str"},
    "tcp": {"type": "str"},
    "udp": {"type": "str"},
    "grpc": {"type": "str"},
    "h2ping": {"type": "str"},
    "ttl": {"type": "str"},
    "args": {"type": "list", "elements": "str"},
    "docker_container_id": {"type": "str"},
    "os_service": {"type": "str"},
    "alias_service": {"type": "str"},
    "alias_node": {"type": "str"},
    "interval": {"type": "str"},
    "timeout": {"type": "str"},
    "method": {"type": "str"},
    "headers": {"type": "dict", "no_log": True},
    "body": {"type": "str", "no_log": True},
    "disable_redirects": {"type": "bool"},
    "tcp_use_tls": {"type": "bool"},
    "grpc_use_tls": {"type": "bool"},
    "h2ping_use_tls": {"type": "bool"},
    "tls_server_name": {"type": "str"},
    "tls_skip_verify": {"type": "bool"},
    "shell": {"type": "str"},
    "output_max_size": {"type": "int"},
    "success_before_passing": {"type": "int", "no_log": False},
    "failures_before_warning": {"type": "int"},
    "failures_before_critical": {"type": "int"},
    "status": {"type": "str", "choices": ["passing", "warning", "critical"]},
    "deregister_critical_service_after": {"type": "str"},
    "notes": {"type": "str"},
}
_CONSUL_SERVICE = {
    "name": {"type": "str", "required": True},
    "id": {"type": "str"},
    "address": {"type": "str"},
    "port": {"type": "int"},
    "tagged_addresses": {"type": "dict", "default": {}},
    "tags": {"type": "list", "elements": "str", "default": []},
    "enable_tag_override": {"type": "bool", "default": False},
    "meta": {"type": "dict", "default": {}},
    "weight": {"type": "int", "default": 1},
    "weight_warning": {"type": "int", "default": 1},
    "checks": {"type": "list", "elements": "dict", "default": [], "options": _CONSUL_CHECK},
}
# Twin of the doc fragment "registrations".
REGISTRATIONS = ArgumentSpec({"services": {"type": "list", "elements": "dict", "options": _CONSUL_SERVICE}})

# Twin of the doc fragment "lease": the lock that covers a change.
LEASE = ArgumentSpec({"session": {"type": "str"}})

# Twin of the doc fragment "nginx".
NGINX = ArgumentSpec(
    {
        "config_dir": {"type": "path", "required": True},
        "base_config": {"type": "path", "required": True},
        "binary": {"type": "str", "default": "nginx"},
        "pid_file": {"type": "path", "required": True},
        "access_log": {"type": "path", "required": True},
        "reload_timeout": {"type": "float", "default": 20.0},
    }
)

# Twin of the doc fragment "batch": several things are done, each of which may fail.
BATCH = ArgumentSpec({"on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"}})

# Twin of the doc fragment "wait"; a module says in its own documentation what is waited for.
WAIT = ArgumentSpec({"wait_timeout": {"type": "float", "default": 60.0}})

# Twin of the doc fragment "deadline"; a module says in its own documentation which deadline, and what is forced.
DEADLINE = ArgumentSpec({"at_deadline": {"type": "str", "choices": ["fail", "force"], "default": "fail"}})

_SERVER = {
    "id": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "weight": {"type": "int", "default": 100},
    "backup": {"type": "bool", "default": False},
}
_CHECK = {
    "http": {"type": "str"},
    "tcp": {"type": "bool", "default": False},
    "interval": {"type": "float", "default": 2.0},
    "timeout": {"type": "float", "default": 1.0},
}
_LISTEN = {"address": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
_TIMEOUTS = {
    "connect": {"type": "float", "default": 2.0},
    "response": {"type": "float", "default": 60.0},
    "client": {"type": "float", "default": 60.0},
    "queue": {"type": "float", "default": 60.0},
}
_ROUTE = {"service": {"type": "str", "required": True}, "host": {"type": "str"}, "path": {"type": "str"}}
_POOL = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "listen": {"type": "dict", "options": _LISTEN},
    "mode": {"type": "str", "choices": ["http", "tcp"], "default": "http"},
    "algorithm": {"type": "str", "choices": ["round_robin", "least_conn", "random", "source", "hash"], "default": "round_robin"},
    "hash_key": {"type": "str", "no_log": False},
    "check": {"type": "dict", "options": _CHECK},
    "max_connections": {"type": "int"},
    "max_queue": {"type": "int"},
    "slow_start": {"type": "float", "default": 0.0},
    "sticky_cookie": {"type": "str"},
    "rate_limit": {"type": "int"},
    "certificate": {"type": "path"},
    "timeouts": {"type": "dict", "options": _TIMEOUTS},
    "routes": {"type": "list", "elements": "dict", "options": _ROUTE},
    "servers": {"type": "list", "elements": "dict", "options": _SERVER, "default": []},
}
# Twin of the doc fragment "pools".
POOLS = ArgumentSpec(
    {
        "pools": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": _POOL,
            "required_if": [("state", "present", ["check"])],
        }
    }
)

# What names a server; ansible-doc cannot merge suboptions, so that each module documents them.
NAMED_SERVER = {
    "backend": {"type": "str", "required": True},
    "server": {"type": "str", "required": True},
    "service": {"type": "str"},
}

# Twin of the doc fragment "prometheus".
PROMETHEUS = ArgumentSpec(
    {
        "prometheus_url": {"type": "str"},
        "prometheus_timeout": {"type": "float", "default": 10.0},
    }
)

# Twin of the doc fragment "signing".
SIGNING = ArgumentSpec(
    {
        "signing_key": {"type": "str", "no_log": True},
        "allow_unsigned": {"type": "bool", "default": False},
    }
)

# Twin of the doc fragment "metrics".
METRICS = PROMETHEUS + ArgumentSpec(
    {
        "haproxy_stats_urls": {"type": "list", "elements": "str", "default": []},
        "metrics_window": {"type": "str", "default": "60s"},
    }
)

# Twin of the doc fragment "inventory": the hosts and groups of the inventory, as plain data.
LOCKING = ArgumentSpec(
    {
        "lock_wait": {"type": "float", "default": 30.0},
        "lock_ttl": {"type": "float", "default": 60.0},
        "lock_delay": {"type": "float", "default": 15.0},
    }
)
INVENTORY = ArgumentSpec(
    {
        "hosts": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "node": {"type": "str", "required": True},
                "address": {"type": "str"},
                "balancer": {"type": "str", "choices": ["haproxy", "nginx"], "default": "haproxy"},
                "cordoned": {"type": "bool", "default": False},
            },
        },
        "groups": {"type": "dict", "default": {}},
    }
)

# Twin of the doc fragment "descriptions": services described by a variable or by a folder of files.
DESCRIPTIONS = ArgumentSpec(
    {
        "descriptions": {"type": "dict"},
        "descriptions_dir": {"type": "path"},
    },
    {"mutually_exclusive": [["descriptions", "descriptions_dir"]]},
)
