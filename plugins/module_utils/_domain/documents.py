# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The documents kept in Consul KV: their keys, their JSON, and the signature that guards those that start commands."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from typing import Any, Iterable, Mapping

from . import names
from .description import read_service
from .errors import AutoscaleError
from .history import Failure, History
from .observation import Override
from .policy import PAUSES
from .service import Service, canonical_json

# Of every document; and of the history, which has grown: one of an older schema is read as if what is new in it were empty.
SCHEMA = 1
HISTORY_SCHEMA = 2
# Whoever could alter one of these could start commands or move the scale.
_SIGNED = ("release", "scale", "override")


@dataclasses.dataclass(frozen=True)
class Signing:
    """How signed documents are checked.

    Args:
        key: autoscale_signing_key, None when there is none.
        allow_unsigned: whether a document without a signature is accepted.
    """

    key: str | None = None
    allow_unsigned: bool = False


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place reserved for an instance that is being started."""

    id: str
    host: str
    port: int


@dataclasses.dataclass(frozen=True)
class Record:
    """All that Consul KV holds of one service.

    Args:
        generation: counts the service's releases.
        removing: whether `remove` has begun to take it away.
        scale: the desired replicas; None before the first deploy.
        critical_since: when an instance was first seen critical or its agent silent, by instance id.
        last_decision: the last decision that was not trivial.
        outlook: kind and count of the newest decision, by which a new one is noticed.
        pending: places reserved by a run that has not confirmed them yet.
        pools: per balancer what was last confirmed: {"digest": …, "servers": [ids]}.
        lock: {"holder", "since"} while a run holds the service's lock.
        indices: the ModifyIndex of each document, for check-and-set.
    """

    service: Service
    generation: int = 0
    removing: bool = False
    scale: int | None = None
    history: History = History()
    critical_since: Mapping[str, float] = dataclasses.field(default_factory=dict)
    last_decision: Mapping[str, Any] | None = None
    outlook: str | None = None
    override: Override | None = None
    pending: tuple[Slot, ...] = ()
    pools: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lock: Mapping[str, Any] | None = None
    indices: Mapping[str, int] = dataclasses.field(default_factory=dict)


def key_of(service: str, document: str) -> str:
    """The KV key of a service's document."""
    return f"{names.KV_ROOT}/{names.service_name(service)}/{document}"


def write_document(document: str, service: str, content: Mapping[str, Any], *, now: float, signing: Signing) -> str:
    """The text of a document; signed by HMAC-SHA256 when there is a key and the document is one of those."""
    body: dict[str, Any] = {**content, "schema": _schemas(document)[-1], "service": service, "time": round(now, 3)}
    if document in _SIGNED and signing.key:
        body["signature"] = _signature(document, body, signing.key)
    return canonical_json(body)


def read_document(document: str, service: str, text: str, signing: Signing) -> dict[str, Any]:
    """The content of a document.

    Raises:
        AutoscaleError: it is not JSON of a known schema, stands under another service's key, is altered, or is
            unsigned although signatures are demanded.
    """
    key = key_of(service, document)
    try:
        body = json.loads(text)
    except ValueError as error:
        raise AutoscaleError(f"Consul KV {key}: is not JSON ({error})") from None
    schemas = _schemas(document)
    if not isinstance(body, dict) or body.get("schema") not in schemas or body.get("service") != service:
        raise AutoscaleError(f"Consul KV {key}: is not a document of schema {schemas[-1]} for {service}; written by another version?")
    signature = body.pop("signature", None)
    if document not in _SIGNED or (signing.allow_unsigned and (signature is None or not signing.key)):
        return body
    if not signing.key:
        raise AutoscaleError(f"Consul KV {key}: cannot be trusted without autoscale_signing_key; set it, or autoscale_allow_unsigned: true")
    if signature is None or not hmac.compare_digest(repr(signature).encode(), repr(_signature(document, body, signing.key)).encode()):
        what = "is not signed" if signature is None else "was altered or signed with another key"
        raise AutoscaleError(f"Consul KV {key}: {what}; it is refused. Deploy the service again with the right autoscale_signing_key")
    return body


def _schemas(document: str) -> tuple[int, ...]:
    """Those that are read; the last one is written."""
    return (SCHEMA, HISTORY_SCHEMA) if document == "history" else (SCHEMA,)


def _signature(document: str, body: Mapping[str, Any], key: str) -> str:
    return hmac.new(key.encode(), f"{document}\n{canonical_json(body)}".encode(), hashlib.sha256).hexdigest()


def release_content(service: Service, generation: int, removing: bool = False) -> dict[str, Any]:
    """The content of a release."""
    return {"generation": generation, "digest": service.digest, "description": service.to_description(), "removing": removing}


def history_content(record: Record) -> dict[str, Any]:
    """The content of a history."""
    history = record.history
    return {
        "recommendations": [list(entry) for entry in history.recommendations],
        "events": [list(entry) for entry in history.events],
        "known": dict(history.known),
        "failing": {name: dataclasses.asdict(failure) for name, failure in history.failing.items()},
        "samples": {name: list(values) for name, values in history.samples.items()},
        "scaled_to_zero": history.scaled_to_zero,
        "critical_since": dict(record.critical_since),
        "last_decision": record.last_decision,
        "outlook": record.outlook,
    }


def read_record(service: str, documents: Mapping[str, str], indices: Mapping[str, int], signing: Signing) -> Record:
    """Everything of one service from the texts of its documents.

    Raises:
        AutoscaleError: as read_document, or the release is no valid description.
        KeyError, TypeError, ValueError: something is missing in a document or of another type.
    """
    contents = {
        document: read_document(document, service, text, signing)
        for document, text in documents.items()
        if document in ("release", "scale", "history", "override", "pending", "pools")
    }
    release = contents["release"]
    history = contents.get("history", {})
    override = contents.get("override")
    return Record(
        service=read_service(service, release["description"], f"Consul KV {key_of(service, 'release')}"),
        generation=int(release["generation"]),
        removing=bool(release.get("removing")),
        scale=int(contents["scale"]["replicas"]) if "scale" in contents else None,
        history=_read_history(history),
        critical_since={name: float(since) for name, since in _mapping(history.get("critical_since")).items()},
        last_decision=_mapping(history["last_decision"]) if history.get("last_decision") is not None else None,
        outlook=history.get("outlook"),
        override=_read_override(override) if override else None,
        pending=tuple(Slot(str(slot["id"]), str(slot["host"]), int(slot["port"])) for slot in contents.get("pending", {}).get("slots", ())),
        pools={name: _read_pool(pool) for name, pool in _mapping(contents.get("pools", {}).get("balancers")).items()},
        indices=indices,
    )


def _read_history(history: Mapping[str, Any]) -> History:
    return History(
        recommendations=_pairs(history.get("recommendations", ())),
        events=_pairs(history.get("events", ())),
        known={name: int(replicas) for name, replicas in _mapping(history.get("known")).items()},
        failing={
            name: Failure(float(_mapping(failure)["since"]), int(_mapping(failure)["count"]))
            for name, failure in _mapping(history.get("failing")).items()
        },
        samples={name: tuple(float(value) for value in values) for name, values in _mapping(history.get("samples")).items()},
        scaled_to_zero=bool(history.get("scaled_to_zero")),
    )


def _read_override(override: Mapping[str, Any]) -> Override:
    pause = override.get("pause", "none")
    if pause not in PAUSES:
        raise ValueError(f"pause {pause!r} is none of {', '.join(PAUSES)}")
    ends = override.get("pause_expires")
    bounds = (_count(override.get("min_replicas")), _count(override.get("max_replicas")), float(override["expires"]))
    return Override(*bounds, pause, None if ends is None else float(ends))


def _mapping(value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"{value!r} is no mapping")
    return value or {}


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _read_pool(pool: Any) -> dict[str, Any]:
    return {"digest": _mapping(pool).get("digest"), "servers": [str(name) for name in _mapping(pool).get("servers", ())]}


def _pairs(entries: Iterable[Any]) -> tuple[tuple[float, int], ...]:
    return tuple((float(time), int(number)) for time, number in entries)
