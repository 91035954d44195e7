# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's description, as a user writes it: parsed, validated and turned into the dataclasses of service.py."""

from __future__ import annotations

import re
import shlex
import string
from typing import Any, Iterator, Mapping

from . import names
from .balance import read_balance
from .errors import AutoscaleError
from .policy_reader import read_policy
from .providers import DEFAULT_PROVIDER, PROVIDERS, beyond
from .reader import Reader
from .resources import MEMORY, Resources, parse_memory
from .service import Artifact, Check, Deploy, PortRange, Run, Service

_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
PLACEHOLDERS = ("address", "port", "path", "version", "instance")


def read_services(descriptions: Any, path: str = "autoscale_services") -> tuple[Service, ...]:
    """Read a mapping of descriptions by service name.

    Raises:
        InvalidDescription: with every error of every description.
    """
    root = Reader(descriptions, path)
    services = tuple(_read_service(name, reader) for name, reader in root.entries().items())
    root.finish()
    return services


def read_service(name: str, description: Any, path: str) -> Service:
    """Read one description; raises InvalidDescription with all its errors."""
    root = Reader(description, path)
    service = _read_service(name, root)
    root.finish()
    return service


def require_known_groups(services: tuple[Service, ...], groups: Mapping[str, Any], path: str = "autoscale_services") -> None:
    """Raise AutoscaleError for a service whose inventory group does not exist."""
    wrong = [
        f"{path}.{service.name}.hosts: must be an inventory group with hosts, got {service.hosts!r}"
        for service in services
        if not groups.get(service.hosts)
    ]
    if wrong:
        raise AutoscaleError("\n".join(wrong), errors=wrong)


def _read_service(name: str, root: Reader) -> Service:
    root.replaced(name).checked(names.service_name, "")
    fields = root.fields("version", "run", "hosts", "port_range", "check", "balance", "scale", "deploy", "tags")
    version = _read_version(fields["version"])
    run = _read_run(fields["run"])
    return Service(
        name=name,
        version=version,
        run=run,
        hosts=fields["hosts"].text(pattern=r"[A-Za-z_][A-Za-z0-9_]*", hint="must be the name of an inventory group"),
        port_range=_read_port_range(fields["port_range"]),
        scale=read_policy(fields["scale"], has_cpu_request=run.resources.cpu is not None),
        check=_read_check(fields["check"]),
        balance=read_balance(fields["balance"]) if fields["balance"].given else None,
        deploy=_read_deploy(fields["deploy"]),
        tags=tuple(item.text(pattern=r"[A-Za-z0-9._=/-]{1,128}", hint="must be a plain tag") for item in fields["tags"].items()),
    )


def _read_version(version: Reader) -> str:
    if isinstance(version.value, (int, float)):
        version.refuse("must be text: write it in quotes")
        return ""
    return version.checked(names.version, "")


def _read_run(run: Reader) -> Run:
    if not run.given:
        run.refuse("must say how an instance is run")
    fields = run.fields("provider", "command", "artifact", "user", "environment", "pre_start", "resources", "stop_grace")
    artifact_fields = fields["artifact"].fields("url", "checksum")
    artifact = (
        Artifact(
            url=artifact_fields["url"].text(
                pattern=r"(file|https?)://\S+|/\S+", hint="must be a file://, http:// or https:// URL or an absolute path"
            ),
            checksum=artifact_fields["checksum"].text(pattern=r"sha256:[0-9a-f]{64}", hint="must be sha256: and 64 hexadecimal digits"),
        )
        if fields["artifact"].given
        else None
    )
    has_path = artifact is not None
    resources = fields["resources"].fields("cpu", "memory")
    result = Run(
        provider=fields["provider"].choice(PROVIDERS, DEFAULT_PROVIDER),
        command=_read_command(fields["command"], has_path),
        artifact=artifact,
        user=fields["user"].optional_text(pattern=r"[a-z_][a-z0-9_-]{0,31}", hint="must be the name of a user"),
        environment={name: _read_variable(name, item) for name, item in fields["environment"].entries().items()},
        pre_start=_read_command(fields["pre_start"], has_path) if fields["pre_start"].given else None,
        resources=Resources(
            cpu=resources["cpu"].number(above=0) if resources["cpu"].given else None,
            memory=_read_memory(resources["memory"]) if resources["memory"].given else None,
        ),
        stop_grace=fields["stop_grace"].duration(30.0, at_most=3600),
    )
    places = {"pre_start": fields["pre_start"], "resources.memory": resources["memory"]}
    for key, reason in beyond(result.provider, result.user, result.pre_start, result.resources.memory).items():
        places[key].refuse(reason)
    return result


def _read_memory(memory: Reader) -> int | None:
    size = parse_memory(memory.value)
    if size is None:
        memory.refuse(f"must be {MEMORY}")
    return size


def _read_command(command: Reader, has_path: bool) -> str:
    text = command.text(hint="must be a command")
    if any(ord(character) < 32 for character in text):
        command.refuse("must be one line without control characters")
        return ""
    try:
        words = shlex.split(text)
        used = {placeholder for word in words for placeholder in _placeholders(word)}
    except ValueError as error:
        command.refuse(f"must be a command that can be split into words ({error})")
        return ""
    if text and not words:
        command.refuse("must be a command")
    allowed = PLACEHOLDERS if has_path else tuple(name for name in PLACEHOLDERS if name != "path")
    if not used <= set(allowed):
        shown = ", ".join(f"{{{name}}}" for name in allowed)
        command.refuse(f"may use the placeholders {shown}" + ("" if has_path else "; {path} needs run.artifact"))
    return text


def _placeholders(word: str) -> Iterator[str]:
    """What stands in braces; with a conversion or a format, which are no placeholders of ours, as written."""
    for _literal, field, spec, conversion in string.Formatter().parse(word):
        if field is not None:
            yield field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")


def _read_variable(name: str, item: Reader) -> Any:
    item.replaced(name).text(pattern=r"[A-Za-z_][A-Za-z0-9_]*", hint="must be the name of an environment variable")
    if isinstance(item.value, dict):
        return {"secret": item.fields("secret")["secret"].text(hint="must be a key of autoscale_secrets")}
    if isinstance(item.value, bool) or not isinstance(item.value, (str, int, float)) or "\0" in str(item.value):
        item.refuse("must be text or {secret: NAME}")
    return str(item.value)


def _read_port_range(reader: Reader) -> PortRange:
    """20000-20999, or {first, last}."""
    value = reader.value
    match = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if match:
        value = {"first": int(match.group(1)), "last": int(match.group(2))}
    if not isinstance(value, dict):
        reader.refuse("must be a range of ports such as 20000-20999")
        return PortRange(1, 1)
    fields = reader.replaced(value).fields("first", "last")
    ports = PortRange(fields["first"].integer(at_least=1, at_most=65535), fields["last"].integer(at_least=1, at_most=65535))
    if ports.last < ports.first:
        reader.refuse("must not end before it begins")
    return ports


def _read_check(check: Reader) -> Check:
    fields = check.fields("http", "tcp", "interval", "timeout", "grace")
    http = fields["http"].optional_text(
        pattern=r"/[A-Za-z0-9._~/?=&%-]{0,200}", hint="must be a path that begins with /, of 200 characters at the most"
    )
    tcp = fields["tcp"].flag(http is None)
    if http is not None and tcp:
        fields["tcp"].refuse("must not be given together with http")
    if not fields["http"].given and not tcp:
        fields["tcp"].refuse("must be true where http is not given")
    return Check(
        http=http,
        tcp=tcp,
        interval=fields["interval"].duration(10.0, at_least=0.5, at_most=300),
        timeout=fields["timeout"].duration(5.0, at_least=0.1, at_most=60),
        grace=fields["grace"].duration(60.0, at_most=86400),
    )


def _read_deploy(deploy: Reader) -> Deploy:
    fields = deploy.fields("strategy", "max_surge", "max_unavailable", "min_healthy_time", "healthy_deadline", "auto_revert")
    if fields["auto_revert"].flag(False):
        fields["auto_revert"].refuse("must be false, reverting is not implemented yet")
    result = Deploy(
        strategy=fields["strategy"].choice(("rolling",), "rolling"),
        max_surge=fields["max_surge"].integer(1, at_least=1, at_most=1),
        max_unavailable=fields["max_unavailable"].integer(0, at_least=0, at_most=0),
        min_healthy_time=fields["min_healthy_time"].duration(0.0, at_most=3600),
        healthy_deadline=fields["healthy_deadline"].duration(300.0, at_least=1, at_most=86400),
    )
    if result.min_healthy_time >= result.healthy_deadline:
        fields["min_healthy_time"].refuse(f"must be less than healthy_deadline, which is {result.healthy_deadline:g} s")
    return result
