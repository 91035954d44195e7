# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A Consul check as declared, in Consul's own words."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping, Sequence

from . import names
from .errors import AutoscaleError
from .reader import parse_duration

_DEFAULT_INTERVAL = "10s"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})")
_HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_MAX_DURATION_SECONDS = 365 * 86400


@dataclasses.dataclass(frozen=True)
class Check:
    """One check as it is sent.

    Args:
        id: stable, so that registering again keeps the check's state.
        fields: Consul's field names and values, without CheckID.
    """

    id: str
    fields: Mapping[str, Any]

    def definition(self) -> dict[str, Any]:
        return {"CheckID": self.id, **self.fields}

    def view(self) -> dict[str, Any]:
        """For people: header values may be credentials and are masked."""
        shown = dict(self.fields)
        if "Header" in shown:
            shown["Header"] = dict.fromkeys(shown["Header"], "***")
        return shown


def declared_checks(raw: Sequence[Mapping[str, Any]], service: str, identity: str, address: str, port: int) -> tuple[Check, ...]:
    """The checks of one instance from the options of the module consul_service. Raises AutoscaleError."""
    ids = [_check_id(check, identity, position, len(raw)) for position, check in enumerate(raw)]
    if len(set(ids)) != len(ids):
        raise AutoscaleError(f"checks: the ids {', '.join(ids)} are not all different")
    return tuple(Check(check_id, _check_fields(check, service, address, port)) for check_id, check in zip(ids, raw))


def clean_text(what: str, value: object, limit: int = 512) -> str:
    """The text unchanged, or raise AutoscaleError; a line break could start a command in another program's file."""
    if not isinstance(value, str) or len(value) > limit or _CONTROL.search(value):
        raise AutoscaleError(f"{what} {value!r} is not allowed: must be text without control characters, at most {limit} long")
    return value


def duration(value: object) -> str:
    """Consul's text for seconds or a text such as 10s, 500ms or 5m; raises AutoscaleError."""
    seconds = parse_duration(value)
    if seconds is None or not 0.001 <= seconds <= _MAX_DURATION_SECONDS:
        raise AutoscaleError(f"duration {value!r} is not allowed: must be seconds or a text such as 10s, 500ms or 5m")
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _check_id(raw: Mapping[str, Any], identity: str, position: int, count: int) -> str:
    """As Consul itself would name it, but stable and known before."""
    if raw.get("id"):
        return clean_text("check id", raw["id"], 200)
    return f"service:{identity}" if count == 1 else f"service:{identity}:{position + 1}"


def _check_fields(raw: Mapping[str, Any], service: str, address: str, port: int) -> dict[str, Any]:
    kinds = [kind for kind in ("http", "tcp", "ttl") if raw.get(kind) is not None]
    if len(kinds) != 1:
        raise AutoscaleError(f"check: exactly one of http, tcp and ttl is needed, got {', '.join(kinds) or 'none'}")
    kind = kinds[0]
    fields: dict[str, Any] = {"Name": clean_text("check name", raw.get("name") or f"Service '{service}' check", 200)}
    if kind == "http":
        fields.update(_http_fields(raw, address, port))
    elif kind == "tcp":
        fields["TCP"] = _tcp_target(raw["tcp"], address)
    if kind == "ttl":
        fields["TTL"] = duration(raw["ttl"])
    else:
        fields["Interval"] = duration(raw.get("interval") or _DEFAULT_INTERVAL)
        if raw.get("timeout") is not None:
            fields["Timeout"] = duration(raw["timeout"])
    # A field that was not asked for is not sent: older servers refuse what they do not know.
    for option, field in (("success_before_passing", "SuccessBeforePassing"), ("failures_before_critical", "FailuresBeforeCritical")):
        if raw.get(option):
            fields[field] = raw[option]
    if raw.get("deregister_critical_service_after") is not None:
        fields["DeregisterCriticalServiceAfter"] = duration(raw["deregister_critical_service_after"])
    if raw.get("notes"):
        fields["Notes"] = clean_text("check notes", raw["notes"])
    return fields


def _http_fields(raw: Mapping[str, Any], address: str, port: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"HTTP": _http_target(raw["http"], address, port)}
    if raw.get("method"):
        fields["Method"] = _one_of("check method", raw["method"], _HTTP_METHODS)
    if raw.get("headers"):
        headers = raw["headers"].items()
        fields["Header"] = {clean_text("header", name): [clean_text("header value", value, 4096)] for name, value in headers}
    if raw.get("tls_skip_verify"):
        fields["TLSSkipVerify"] = True
    return fields


def _http_target(value: object, address: str, port: int) -> str:
    target = clean_text("check http", value, 2048)
    if target.startswith("/"):
        if not address or not port:
            raise AutoscaleError(f"check http {target!r} is a path: the service needs an address and a port of its own")
        target = f"http://{names.endpoint(address, port)}{target}"
    if not _URL.fullmatch(target):
        raise AutoscaleError(f"check http {value!r} is not allowed: must be an http or https URL, or a path that begins with /")
    return target


def _tcp_target(value: object, address: str) -> str:
    match = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise AutoscaleError(f"check tcp {value!r} is not allowed: must be ADDRESS:PORT, or :PORT on the service's own address")
    port = names.port(int(match.group(2)))
    if match.group(1):
        return f"{match.group(1)}:{port}"
    if not address:
        raise AutoscaleError(f"check tcp {value!r} has no address: the service needs one of its own")
    return names.endpoint(address, port)


def _one_of(what: str, value: object, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise AutoscaleError(f"{what} {value!r} is not allowed: must be one of {', '.join(allowed)}")
    return str(value)
