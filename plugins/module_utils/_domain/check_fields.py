# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The options of a check and the fields that Consul knows them by, each with its allow-list."""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from . import names
from .errors import AutoscaleError
from .reader import parse_duration
from .secrets import masked_url

# The kinds of checks, each with the options that say what is looked at; the first one says that it is of this kind.
KINDS: Mapping[str, tuple[str, ...]] = {
    "http": ("http",),
    "tcp": ("tcp",),
    "udp": ("udp",),
    "grpc": ("grpc",),
    "h2ping": ("h2ping",),
    "ttl": ("ttl",),
    "script": ("args",),
    "docker": ("docker_container_id", "args"),
    "os_service": ("os_service",),
    "alias": ("alias_service", "alias_node"),
}
_DEFAULT_INTERVAL = "10s"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})")
_GRPC_SERVICE = re.compile(r"/[A-Za-z0-9_.-]{1,200}")
_HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_STATUSES = ("passing", "warning", "critical")
_MAX_DURATION_SECONDS = 365 * 86400
_MAX_BODY = 16384


def kind_of(raw: Mapping[str, Any]) -> str:
    """The one kind that a check's options name; raises AutoscaleError where they name none or several."""
    kinds = [kind for kind, options in KINDS.items() if raw.get(options[0]) is not None]
    if raw.get("docker_container_id") is not None and raw.get("args"):
        kinds.remove("script")
    if raw.get("alias_node") is not None and "alias" not in kinds:
        kinds.append("alias")
    if len(kinds) != 1:
        *most, last = [options[0] for kind, options in KINDS.items() if kind != "alias"]
        raise AutoscaleError(
            f"check: exactly one of {', '.join(most)}, {last} and alias_service or alias_node is needed, got {', '.join(kinds) or 'none'}"
        )
    if kinds == ["docker"] and not raw.get("args"):
        raise AutoscaleError("check docker_container_id: needs args, the command to run in the container")
    return kinds[0]


def target(option: str, value: object, address: str, port: int) -> dict[str, Any]:
    """The field for what a check looks at; an address or port that is not named is that of the service. Raises AutoscaleError."""
    if option == "http":
        return {"HTTP": _http_target(value, address, port)}
    if option in ("tcp", "udp", "h2ping"):
        return {option.upper(): _host_and_port(option, value, address)}
    if option == "grpc":
        return {"GRPC": _grpc_target(value, address)}
    if option == "ttl":
        return {"TTL": duration(value)}
    if option == "args":
        if not isinstance(value, (list, tuple)) or not value:
            raise AutoscaleError(f"check args {value!r} is not allowed: must be a list of a program and its arguments")
        return {"Args": [clean_text("check args", part, 4096) for part in value]}
    if option == "alias_node":
        return {"AliasNode": names.host_name(value)}
    fields = {"docker_container_id": "DockerContainerID", "os_service": "OSService", "alias_service": "AliasService"}
    return {fields[option]: clean_text(f"check {option}", value, 256)}


def details(raw: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The fields of all options that hold for a kind and were given; raises AutoscaleError for one that does not hold for it.

    A field that was not asked for is not sent: older agents refuse what they do not know.
    """
    fields: dict[str, Any] = {}
    for option, detail in _DETAILS.items():
        value = raw.get(option)
        if value is None or (not value and option not in _FALSE_SAYS_SOMETHING):
            continue
        if kind not in detail.kinds:
            raise AutoscaleError(
                f"check {option}: has no meaning for a check of the kind {kind}; it is for {', '.join(sorted(detail.kinds))}"
            )
        fields[detail.field] = detail.read(option, value)
    if kind in _ASKING:
        fields.setdefault("Interval", duration(_DEFAULT_INTERVAL))
    if fields.get("FailuresBeforeWarning", 0) > fields.get("FailuresBeforeCritical", 0):
        raise AutoscaleError("check failures_before_warning: must not be greater than failures_before_critical, which is 0 by default")
    return fields


def clean_text(what: str, value: object, limit: int = 512) -> str:
    """The text unchanged, or raise AutoscaleError; a line break could start a command in another program's file."""
    if not isinstance(value, str) or len(value) > limit or _CONTROL.search(value):
        shown = masked_url(value) if isinstance(value, str) else value
        raise AutoscaleError(f"{what} {shown!r} is not allowed: must be text without control characters, at most {limit} long")
    return value


def duration(value: object) -> str:
    """Consul's text for seconds or a text such as 10s, 500ms or 5m; raises AutoscaleError."""
    seconds = parse_duration(value)
    if seconds is None or not 0.001 <= seconds <= _MAX_DURATION_SECONDS:
        raise AutoscaleError(f"duration {value!r} is not allowed: must be seconds or a text such as 10s, 500ms or 5m")
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


class _Detail(NamedTuple):
    """An option: Consul's field, the kinds that it holds for and how its value is read."""

    field: str
    kinds: frozenset[str]
    read: Callable[[str, Any], Any]


def _text(limit: int) -> Callable[[str, Any], str]:
    return lambda option, value: clean_text(f"check {option}", value, limit)


def _body(_option: str, value: object) -> str:
    # Never shown, not even in an error; line breaks are common in it.
    if not isinstance(value, str) or len(value) > _MAX_BODY:
        raise AutoscaleError(f"check body: must be text, at most {_MAX_BODY} long")
    return value


def _choice(allowed: Sequence[str]) -> Callable[[str, Any], str]:
    def read(option: str, value: object) -> str:
        if value not in allowed:
            raise AutoscaleError(f"check {option} {value!r} is not allowed: must be one of {', '.join(allowed)}")
        return str(value)

    return read


def _flag(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise AutoscaleError(f"check {option} {value!r} is not allowed: must be true or false")
    return value


def _count(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise AutoscaleError(f"check {option} {value!r} is not allowed: must be a whole number of at least 1")
    return value


def _duration(_option: str, value: object) -> str:
    return duration(value)


def _headers(_option: str, value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise AutoscaleError("check headers: must be a mapping of names to values")
    headers = {}
    for name, text in value.items():
        # The value may be a credential.
        if not isinstance(text, str) or len(text) > 4096 or _CONTROL.search(text):
            raise AutoscaleError(f"check header {name!r}: its value must be text without control characters, at most 4096 long")
        headers[clean_text("check header", name)] = [text]
    return headers


_ALL = frozenset(KINDS)
# The agent does something by itself, again and again.
_ASKING = _ALL - {"ttl", "alias"}
_TLS = frozenset(("http", "tcp", "grpc", "h2ping"))
_HTTP = frozenset(("http",))
# Consul's default is true.
_FALSE_SAYS_SOMETHING = ("h2ping_use_tls",)
_DETAILS: Mapping[str, _Detail] = {
    "interval": _Detail("Interval", _ASKING, _duration),
    "timeout": _Detail("Timeout", _ASKING, _duration),
    "method": _Detail("Method", _HTTP, _choice(_HTTP_METHODS)),
    "headers": _Detail("Header", _HTTP, _headers),
    "body": _Detail("Body", _HTTP, _body),
    "disable_redirects": _Detail("DisableRedirects", _HTTP, _flag),
    "tcp_use_tls": _Detail("TCPUseTLS", frozenset(("tcp",)), _flag),
    "grpc_use_tls": _Detail("GRPCUseTLS", frozenset(("grpc",)), _flag),
    "h2ping_use_tls": _Detail("H2PingUseTLS", frozenset(("h2ping",)), _flag),
    "tls_server_name": _Detail("TLSServerName", _TLS, _text(253)),
    "tls_skip_verify": _Detail("TLSSkipVerify", _TLS, _flag),
    "shell": _Detail("Shell", frozenset(("docker",)), _text(256)),
    "output_max_size": _Detail("OutputMaxSize", _ALL - {"alias"}, _count),
    "success_before_passing": _Detail("SuccessBeforePassing", _ALL, _count),
    "failures_before_warning": _Detail("FailuresBeforeWarning", _ALL, _count),
    "failures_before_critical": _Detail("FailuresBeforeCritical", _ALL, _count),
    "status": _Detail("Status", _ALL, _choice(_STATUSES)),
    "deregister_critical_service_after": _Detail("DeregisterCriticalServiceAfter", _ALL, _duration),
    "notes": _Detail("Notes", _ALL, _text(512)),
}


def _http_target(value: object, address: str, port: int) -> str:
    url = clean_text("check http", value, 2048)
    if url.startswith("/"):
        if not address or not port:
            raise AutoscaleError(f"check http {url!r} is a path: the service needs an address and a port of its own")
        url = f"http://{names.endpoint(address, port)}{url}"
    if not _URL.fullmatch(url):
        raise AutoscaleError(f"check http {masked_url(url)!r} is not allowed: must be an http or https URL, or a path that begins with /")
    return url


def _host_and_port(option: str, value: object, address: str) -> str:
    match = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise AutoscaleError(f"check {option} {value!r} is not allowed: must be ADDRESS:PORT, or :PORT on the service's own address")
    port = names.port(int(match.group(2)))
    if match.group(1):
        return f"{match.group(1)}:{port}"
    if not address:
        raise AutoscaleError(f"check {option} {value!r} has no address: the service needs one of its own")
    return names.endpoint(address, port)


def _grpc_target(value: object, address: str) -> str:
    where, slash, service = value.partition("/") if isinstance(value, str) else (value, "", "")
    if slash and not _GRPC_SERVICE.fullmatch(slash + service):
        raise AutoscaleError(f"check grpc {value!r} is not allowed: must be ADDRESS:PORT or ADDRESS:PORT/SERVICE")
    return f"{_host_and_port('grpc', where, address)}{slash}{service}"
