# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The configuration of a Consul agent or server, from the variables of the role consul, in the words of the installed version."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Any, Iterator, Mapping

from .consul_version import Version
from .errors import AutoscaleError
from .reader import Reader

OLDEST = (1, 8, 0)
# From these releases on.
_INITIAL_MANAGEMENT = (1, 11, 0)
_TLS_STANZA = (1, 12, 0)
_GRPC_TLS = (1, 14, 0)

# Options of the role by the name under which it hands them over; secrets come apart, since they are never shown.
SETTINGS = (
    *("server", "node_name", "datacenter", "data_dir", "bind_addr", "advertise_addr", "client_addr", "retry_join", "retry_interval"),
    *("bootstrap_expect", "raft_multiplier", "ports", "log_level", "local_script_checks", "acl", "encrypt", "tls", "config"),
)
_PORTS = ("dns", "http", "https", "grpc", "grpc_tls", "serf_lan", "serf_wan", "server")
_TOKENS = ("agent", "default", "initial_management", "replication")
_LEVELS = ("trace", "debug", "info", "warn", "err")

# What holds unless consul_config says otherwise. A host that reboots is not one that has left; nobody starts a command from afar.
PLAIN = {
    "disable_update_check": True,
    "disable_remote_exec": True,
    "enable_script_checks": False,
    "leave_on_terminate": False,
    "skip_leave_on_interrupt": True,
}

_FILE = {"pattern": r"/[A-Za-z0-9_./@+-]+", "hint": "must be an absolute path of letters, digits and _ . / @ + -"}
_NODE = {"pattern": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "hint": "must be letters, digits, _ . and -, at most 128 of them"}
_DATACENTER = {"pattern": r"[a-z0-9][a-z0-9_-]{0,63}", "hint": "must be lower-case letters, digits, _ and -, at most 64 of them"}
_PEER = {
    "pattern": r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?|[0-9a-fA-F:]+",
    "hint": "must be ADDRESS or ADDRESS:PORT",
}
_TOKEN = {"pattern": r"[0-9A-Za-z-]{8,128}", "hint": "must be a token such as consul acl bootstrap prints"}


def agent_config(settings: Mapping[str, Any], secrets: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """What the agent's file says.

    Args:
        settings: the role's variables, by their names without "consul_"; see SETTINGS.
        secrets: "encrypt_key" and "acl_tokens", {"agent": …}; empty ones are the same as none.
        version: of the installed program, whose keys are written.

    Raises:
        AutoscaleError: names every variable that is wrong, and what is allowed.
    """
    if version < OLDEST:
        raise AutoscaleError(f"Consul {_shown(version)} is installed: {_shown(OLDEST)} is the oldest that this collection works with")
    errors: list[str] = []
    at = {name: Reader(_given(settings.get(name)), f"consul_{name}", errors) for name in SETTINGS}
    tokens = Reader(_given(secrets.get("acl_tokens")), "consul_acl.tokens", errors)
    server = at["server"].flag(False)
    config: dict[str, Any] = {
        "data_dir": at["data_dir"].text(**_FILE),
        "datacenter": at["datacenter"].text("dc1", **_DATACENTER),
        "client_addr": _addresses(at["client_addr"]),
        "log_level": at["log_level"].choice(_LEVELS, "info").upper(),
        "server": server,
        "retry_interval": f"{at['retry_interval'].duration(30.0, at_least=1, at_most=3600):g}s",
        "enable_local_script_checks": at["local_script_checks"].flag(False),
    }
    if at["node_name"].given:
        config["node_name"] = at["node_name"].text(**_NODE)
    for name in ("bind_addr", "advertise_addr"):
        if at[name].given:
            config[name] = at[name].checked(_address, "")
    peers = [item.text(**_PEER) for item in at["retry_join"].items()]
    if peers:
        config["retry_join"] = peers
    expected = at["bootstrap_expect"].integer(3, at_least=1, at_most=11)
    if not peers and "retry_join" not in at["config"].entries() and not (server and expected == 1):
        at["retry_join"].refuse("must name the servers, but for the only one of a cluster (consul_bootstrap_expect: 1)")
    if server:
        config["bootstrap_expect"] = expected
        config["performance"] = {"raft_multiplier": at["raft_multiplier"].integer(5, at_least=1, at_most=10)}
    ports = _ports(at["ports"], version)
    if ports:
        config["ports"] = ports
    config.update(_acl(at["acl"], tokens, version))
    config.update(_encrypt(at["encrypt"], _given(secrets.get("encrypt_key"))))
    config.update(_tls(at["tls"], server, version))
    further = at["config"].entries()
    plain = {name: value for name, value in PLAIN.items() if name not in further}
    merged = _merged({**config, **plain}, {name: item.value for name, item in further.items()}, at["config"])
    at["server"].finish()
    return merged


def certificate_files(settings: Mapping[str, Any]) -> dict[str, str]:
    """The files that the option tls names, by the option's path."""
    tls = _given(settings.get("tls")) or {}
    return {f"consul_tls.{name}": str(tls[name]) for name in ("ca_file", "cert_file", "key_file") if _given(tls.get(name))}


def flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted path; a list is one value."""
    for name, value in config.items():
        here = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            yield from flat(value, here)
        else:
            yield here, value


def _given(value: Any) -> Any:
    """None for what a role's variable says when it says nothing."""
    return None if value in ("", [], {}) else value


def _shown(version: Version) -> str:
    return ".".join(str(part) for part in version)


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError:
        raise AutoscaleError(f"must be an IP address, got {value!r}") from None


def _addresses(reader: Reader) -> str:
    """One or several, with spaces between, as Consul reads them."""
    text = reader.text("127.0.0.1", pattern=r"[0-9a-fA-F:. ]+", hint="must be an IP address, or several with spaces between")
    return " ".join(reader.replaced(one).checked(_address, "") for one in text.split())


def _ports(reader: Reader, version: Version) -> dict[str, int]:
    found = {}
    for name, item in reader.fields(*_PORTS).items():
        if item.given:
            # -1 switches a listener off.
            found[name] = item.integer(at_least=-1, at_most=65535)
            if name == "grpc_tls" and version < _GRPC_TLS:
                item.refuse(f"Consul {_shown(version)} does not know it, {_shown(_GRPC_TLS)} and later do: must not be given")
    return found


def _acl(reader: Reader, tokens: Reader, version: Version) -> dict[str, Any]:
    at = reader.fields("enabled", "default_policy", "down_policy")
    given = {name: item.text(**_TOKEN) for name, item in tokens.fields(*_TOKENS).items() if _given(item.value)}
    if not at["enabled"].flag(False):
        if given:
            at["enabled"].refuse("must be true where tokens are given")
        return {}
    acl: dict[str, Any] = {
        "enabled": True,
        "default_policy": at["default_policy"].choice(("deny", "allow"), "deny"),
        "down_policy": at["down_policy"].choice(("extend-cache", "allow", "deny", "async-cache"), "extend-cache"),
    }
    if "initial_management" in given and version < _INITIAL_MANAGEMENT:
        given["master"] = given.pop("initial_management")
    if given:
        acl["tokens"] = given
    return {"acl": acl}


def _encrypt(reader: Reader, key: Any) -> dict[str, Any]:
    at = reader.fields("verify_incoming", "verify_outgoing")
    flags = {f"encrypt_{name}": item.flag(True) for name, item in at.items()}
    if key is None:
        return {}
    try:
        size = len(base64.b64decode(str(key), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size not in (16, 24, 32):
        # It is not repeated: it may be nearly right.
        reader.replaced("something else").refuse("the key must be 16, 24 or 32 bytes in base64, as consul keygen prints them")
    return {"encrypt": str(key), **flags}


def _tls(reader: Reader, server: bool, version: Version) -> dict[str, Any]:
    files = ("ca_file", "cert_file", "key_file")
    at = reader.fields(*files, "verify_incoming", "verify_outgoing", "verify_server_hostname")
    if not reader.given:
        return {}
    named = {name: at[name].text(**_FILE) for name in files if _given(at[name].value)}
    if "ca_file" not in named:
        at["ca_file"].refuse("must be given with any other of consul_tls")
    if ("cert_file" in named) != ("key_file" in named) or (server and "cert_file" not in named):
        reader.refuse("needs cert_file and key_file together; a server needs both")
    defaults = {
        **named,
        "verify_incoming": at["verify_incoming"].flag("cert_file" in named),
        "verify_outgoing": at["verify_outgoing"].flag(True),
    }
    hostname = at["verify_server_hostname"].flag(True)
    if version >= _TLS_STANZA:
        return {"tls": {"defaults": defaults, "internal_rpc": {"verify_server_hostname": hostname}}}
    return {**defaults, "verify_server_hostname": hostname}


def _merged(config: dict[str, Any], further: Mapping[str, Any], at: Reader, path: str = "") -> dict[str, Any]:
    """Both together; what an option of the role says cannot be said a second time."""
    result = dict(config)
    for name, value in further.items():
        here = f"{path}.{name}"
        if name not in result:
            result[name] = value
        elif isinstance(result[name], dict) and isinstance(value, Mapping):
            result[name] = _merged(result[name], value, at, here)
        else:
            at.within(here, value).refuse("is what an option of the role says already: must not be given")
    return result
