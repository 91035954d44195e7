# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads and writes what Consul KV holds of the services."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import consul_rights, names
from .._domain.documents import Record, Signing, key_of, read_record, write_document
from .._domain.errors import AutoscaleError
from .guarded_writes import Conflict, write_guarded
from .rights import require


@dataclasses.dataclass(frozen=True)
class Records:
    """All services as recorded; problems are documents that were refused, by service."""

    by_service: Mapping[str, Record]
    problems: Mapping[str, str]


def read_records(consul: Consul, signing: Signing, wanted: Iterable[str] = ()) -> Records:
    """Read everything below autoscale/ in one call.

    A service whose documents cannot be trusted or understood is a problem of its own and never hides the others.

    Args:
        wanted: services that the caller expects to find, if any; all are read anyway.

    Raises:
        MissingRight: nothing is there, or not what is wanted, and the token could not see it if it were.
    """
    documents: dict[str, dict[str, str]] = {}
    indices: dict[str, dict[str, int]] = {}
    locks: dict[str, Mapping[str, Any]] = {}
    for entry in consul.kv_tree(f"{names.KV_ROOT}/"):
        service, _slash, document = entry.key[len(names.KV_ROOT) + 1 :].partition("/")
        if not document or not names.SERVICE_NAME.fullmatch(service):
            continue
        if document == "lock":
            if entry.session is not None:
                locks[service] = _holder(entry.value)
            continue
        documents.setdefault(service, {})[document] = entry.value
        indices.setdefault(service, {})[document] = entry.modify_index
    _require_readable(consul, documents, wanted)
    records: dict[str, Record] = {}
    problems: dict[str, str] = {}
    for service, texts in sorted(documents.items()):
        if "release" not in texts:
            continue
        try:
            record = read_record(service, texts, indices[service], signing)
        except AutoscaleError as error:
            problems[service] = error.message
        except (KeyError, TypeError, ValueError) as error:
            problems[service] = f"Consul KV {names.KV_ROOT}/{service}: a document is damaged ({type(error).__name__}: {error})"
        else:
            records[service] = dataclasses.replace(record, lock=locks.get(service))
    return Records(records, problems)


def _require_readable(consul: Consul, documents: Mapping[str, Mapping[str, str]], wanted: Iterable[str]) -> None:
    """What is not there may be there for others: services that are not there at all, and a release without its scale.

    Where nothing at all is there, the read itself has made sure.
    """
    keys = [f"{names.KV_ROOT}/{name}/" for name in wanted if name not in documents] if documents else []
    keys += [key_of(name, "scale") for name, texts in documents.items() if "release" in texts and "scale" not in texts]
    require(consul, [consul_rights.key(key) for key in keys], f"showed nothing at {', '.join(keys)}")


def select(records: Records, services: Iterable[str]) -> Records:
    """Only the named services, all when none is named; a name that is not deployed is a problem."""
    wanted = list(services)
    if not wanted:
        return records
    problems = {name: text for name, text in records.problems.items() if name in wanted}
    for name in wanted:
        if name not in records.by_service and name not in records.problems:
            problems[name] = f"there is no release of {name} in Consul KV; run the playbook deploy first"
    return Records({name: record for name, record in records.by_service.items() if name in wanted}, problems)


def write_documents(
    consul: Consul, session: str | None, record: Record, contents: Mapping[str, Mapping[str, Any] | None], signing: Signing
) -> bool:
    """Write documents of one service together, by check-and-set against the indices of the record.

    Args:
        session: holds the service's lock; None for bookkeeping outside a lock, which gives way to any other writer.
        contents: by document; None deletes it.

    Returns:
        Whether it was written; only bookkeeping outside a lock gives way with False.
    """
    service, now = record.service.name, time.time()
    writes = [
        (
            key_of(service, document),
            None if content is None else write_document(document, service, content, now=now, signing=signing),
            record.indices.get(document, 0),
        )
        for document, content in contents.items()
    ]
    try:
        write_guarded(consul, session, service, writes)
    except Conflict:
        if session is not None:
            raise
        return False
    return True


def _holder(value: str) -> Mapping[str, Any]:
    try:
        content = json.loads(value)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {"holder": "unknown"}
