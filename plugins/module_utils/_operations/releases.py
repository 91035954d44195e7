# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Publishes services' descriptions as releases in Consul KV, and takes them away again."""

from __future__ import annotations

import os
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import consul_rights
from .._domain.balancing import require_same_mode
from .._domain.documents import Record, Signing, key_of, release_content
from .._domain.errors import AutoscaleError, InvalidDescription, quoted
from .._domain.names import KV_ROOT
from .._domain.routing import require_targets, require_unrouted
from .._domain.service import Service
from . import locks
from .descriptions import read_service, read_services
from .guarded_writes import write_guarded
from .lease import lock_key
from .observe import MARK
from .outcome import Change, Outcome
from .records import read_records, write_documents
from .rights import require

try:
    import yaml

    try:
        from yaml import CSafeLoader as SafeLoader
    except ImportError:
        from yaml import SafeLoader  # type: ignore[assignment]
except ImportError:
    HAS_YAML = False
else:
    HAS_YAML = True


def described(descriptions: Mapping[str, Any] | None, folder: str | None) -> tuple[Service, ...]:
    """The services of a variable, or of a folder with one plain file SERVICE.yml each; one code path for both.

    Raises:
        InvalidDescription: with every error of every description, each with its path.
        AutoscaleError: the folder cannot be read.
    """
    if folder is None:
        return read_services(descriptions or {})
    services: list[Service] = []
    errors: list[str] = []
    for name, path in _files(folder):
        try:
            services.append(read_service(name, _load(path), f"{path}: {name}"))
        except InvalidDescription as error:
            errors += error.errors
        except AutoscaleError as error:
            errors.append(error.message)
    if errors:
        raise InvalidDescription(errors)
    return tuple(services)


def _files(folder: str) -> list[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise AutoscaleError(f"autoscale_services_dir: {folder} cannot be read: {error.strerror}") from None
    return [
        (os.path.splitext(name)[0], os.path.join(folder, name)) for name in names if os.path.splitext(name)[1] in (".yml", ".yaml", ".json")
    ]


def _load(path: str) -> Any:
    if not HAS_YAML:
        raise AutoscaleError("the Python library 'yaml' (PyYAML) is missing on the controller")
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.load(stream, SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AutoscaleError(f"{path}: cannot be read as YAML: {error}") from None


def publish(
    consul: Consul,
    services: Iterable[Service],
    signing: Signing,
    *,
    balancers: Mapping[str, str],
    locking: locks.Locking,
    check_mode: bool,
) -> Outcome:
    """Publish descriptions as releases; an equal one is left as it is.

    Args:
        balancers: the kind of each host that balances.
        locking: how the services' locks are taken.

    Raises:
        AutoscaleError: a service is locked by another run, or cannot follow what is deployed; nothing was published then.
    """
    services = tuple(services)
    if not services:
        raise AutoscaleError("no service is described: set autoscale_services, or autoscale_services_dir to a folder of descriptions")
    recorded = read_records(consul, signing, [service.name for service in services])
    deployed = [record.service for record in recorded.by_service.values() if not record.removing]
    require_targets(services, deployed)
    require_same_mode(services, deployed, balancers)
    refused = [f"{name}: {text}" for name, text in recorded.problems.items() if name in {service.name for service in services}]
    changes = []
    writes = []
    for service in services:
        record = recorded.by_service.get(service.name)
        if record is not None and record.service == service and not record.removing:
            continue
        before = None if record is None else {**record.service.to_description(), "generation": record.generation}
        generation = (record.generation if record else 0) + 1
        changes.append(Change(f"release {service.name}", before, {**service.to_description(), "generation": generation}))
        writes.append((service, record, generation))
    if writes and not check_mode:
        with locks.held(consul, [service.name for service in services], locking) as session:
            for service, record, generation in writes:
                base = record or Record(service, indices=_indices_of_refused(consul, service.name))
                write_documents(consul, session, base, {"release": release_content(service, generation)}, signing)
    published = [service.name for service in services]
    return Outcome(tuple(changes), {"services": published, "published": [service.name for service, _r, _g in writes]}, tuple(refused))


def _indices_of_refused(consul: Consul, service: str) -> dict[str, int]:
    """A release that was refused (unsigned, altered) is replaced by a new deploy, which a person asked for."""
    entry = consul.kv_get(key_of(service, "release"))
    return {"release": entry.modify_index} if entry else {}


def begin_removal(consul: Consul, name: str, signing: Signing, *, locking: locks.Locking, check_mode: bool) -> Outcome:
    """Mark a service as being removed, so that a run that is killed can be resumed; an absent service is nothing to do."""
    recorded = read_records(consul, signing, [name])
    if name in recorded.problems:
        raise AutoscaleError(f"{name}: {recorded.problems[name]}")
    record = recorded.by_service.get(name)
    if record is None or record.removing:
        return Outcome(facts={"services": [name] if record else []})
    require_unrouted(name, (other.service for other in recorded.by_service.values() if not other.removing))
    change = Change(f"release {name}", "deployed", "being removed")
    if not check_mode:
        with locks.held(consul, [name], locking) as session:
            content = release_content(record.service, record.generation + 1, removing=True)
            write_documents(consul, session, record, {"release": content}, signing)
    return Outcome((change,), {"services": [name]})


def finish_removal(consul: Consul, name: str, *, locking: locks.Locking, check_mode: bool) -> Outcome:
    """Delete everything that Consul KV holds of a service.

    Raises:
        AutoscaleError: instances of it are still registered.
    """
    keys = [entry.key for entry in consul.kv_tree(f"{KV_ROOT}/{name}/")]
    if not [key for key in keys if key != lock_key(name)]:
        return Outcome()
    entries, _index = consul.health_service(name, params={"consistent": ""})
    left = sorted(entry["Service"]["ID"] for entry in entries if (entry["Service"].get("Meta") or {}).get(MARK) == name)
    if left:
        raise AutoscaleError(f"{name}: still has instances in Consul: {', '.join(map(quoted, left))}; run the playbook remove again")
    if not entries:
        require(consul, [consul_rights.service(name), consul_rights.node()], f"showed no instance of {name}")
    if not check_mode:
        with locks.held(consul, [name], locking) as session:
            for key in keys:
                if key != lock_key(name):
                    write_guarded(consul, session, name, [(key, None, None)])
        locks.forget(consul, name)
    return Outcome((Change(f"Consul KV {KV_ROOT}/{name}/", sorted(keys), None),))
