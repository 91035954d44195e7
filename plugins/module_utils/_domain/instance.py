# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One instance as a plan's step describes it, and where its files are on a host."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping, Union

from . import names
from .errors import AutoscaleError
from .providers import DEFAULT_PROVIDER, PROVIDERS, beyond
from .resources import MEMORY, Resources, parse_memory

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHECKSUM = re.compile(r"sha256:([0-9a-fA-F]{64})")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# supervisord gives ":" and "/" a meaning of their own in program names, systemd "/" and "@" in names of units.
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# What needs no quoting in a shell, an INI file, a supervisord expression or a unit.
_FOLDER = re.compile(r"/[A-Za-z0-9._/@+=-]*")

# Seconds from the stop signal to the kill.
DEFAULT_STOP_GRACE = 30.0


@dataclasses.dataclass(frozen=True)
class Secret:
    """A value that is known by its name only until the instance starts."""

    name: str


Value = Union[str, Secret]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """Where a version's archive is; checksum is the SHA-256 in lower-case hex."""

    url: str
    checksum: str


@dataclasses.dataclass(frozen=True)
class Run:
    """How the instance is run; stop_grace in seconds."""

    provider: str
    artifact: Artifact | None
    command: str
    user: str | None
    environment: Mapping[str, Value]
    pre_start: str | None
    resources: Resources
    stop_grace: float


@dataclasses.dataclass(frozen=True)
class Instance:
    """An instance as a plan's step describes it.

    Args:
        run: None where a step needs only to take the instance away.
        healthy_deadline: seconds in which it has to become healthy.
        min_healthy_time: seconds for which it has to stay healthy before it counts.
        source: the step's own dict, for the parts that register it.
    """

    service: str
    id: str
    host: str | None
    address: str
    port: int
    version: str | None
    run: Run | None
    healthy_deadline: float
    min_healthy_time: float
    source: Mapping[str, Any]

    @property
    def endpoint(self) -> str:
        return names.endpoint(self.address, self.port)

    @property
    def provider(self) -> str | None:
        """What runs it, as far as the step tells."""
        if self.run is not None:
            return self.run.provider
        run = self.source.get("run")
        return run.get("provider") if isinstance(run, Mapping) else None

    @property
    def version_folder(self) -> str | None:
        """The name of the folder of this version, None without an artifact."""
        if self.run is None or self.run.artifact is None:
            return None
        return f"{names.version(self.version)}-{self.run.artifact.checksum[:12]}"

    @classmethod
    def parse(cls, raw: Mapping[str, Any], *, with_run: bool) -> Instance:
        """Read a step's dict.

        Args:
            with_run: the part `run` is needed; otherwise it is not looked at.

        Raises:
            AutoscaleError: names the instance, the key and what is allowed.
        """
        identity = raw.get("id")
        try:
            if not isinstance(identity, str) or not _PROGRAM.fullmatch(identity):
                raise AutoscaleError(f"id {identity!r} is not allowed: must match {_PROGRAM.pattern}")
            return cls(
                service=names.service_name(raw.get("service")),
                id=identity,
                host=raw.get("host"),
                address=names.ip_address(raw.get("address")),
                port=names.port(raw.get("port")),
                version=names.version(raw.get("version")) if with_run else raw.get("version"),
                run=_run(raw.get("run") or {}) if with_run else None,
                healthy_deadline=_seconds(raw, "healthy_deadline", 300.0),
                min_healthy_time=_seconds(raw, "min_healthy_time", 0.0),
                source=raw,
            )
        except AutoscaleError as error:
            raise AutoscaleError(f"instance {identity!r}: {error.message}") from None


def safe_folder(option: str, path: str) -> str:
    """Return the path of a folder unchanged, or raise AutoscaleError naming the option."""
    if not _FOLDER.fullmatch(path) or ".." in path.split("/"):
        raise AutoscaleError(f"{option} {path!r} is not allowed: must be an absolute path of {_FOLDER.pattern} without '..'")
    return path


@dataclasses.dataclass(frozen=True)
class Paths:
    """Where things are on a host, whatever provider runs them."""

    state_dir: str

    def __post_init__(self) -> None:
        safe_folder("state_dir", self.state_dir)

    def versions(self, service: str) -> str:
        return f"{self.state_dir}/services/{names.service_name(service)}/versions"

    def version(self, instance: Instance) -> str | None:
        name = instance.version_folder
        return None if name is None else f"{self.versions(instance.service)}/{name}"

    @property
    def instances(self) -> str:
        return f"{self.state_dir}/instances"

    def instance(self, identity: str) -> str:
        return f"{self.instances}/{identity}"

    def record(self, identity: str) -> str:
        return f"{self.instance(identity)}/instance.json"

    def environment(self, identity: str) -> str:
        return f"{self.instance(identity)}/environment"

    def failed_log(self, identity: str) -> str:
        return f"{self.state_dir}/failed/{identity}.log"


def need_run(instance: Instance) -> Run:
    """The part `run`, or AutoscaleError when the instance was given without it."""
    if instance.run is None:
        raise AutoscaleError(f"instance {instance.id}: run is missing")
    return instance.run


def _run(raw: Mapping[str, Any]) -> Run:
    provider = raw.get("provider") or DEFAULT_PROVIDER
    if provider not in PROVIDERS:
        raise AutoscaleError(f"run.provider {provider!r} is not implemented: allowed are {', '.join(PROVIDERS)}")
    command = raw.get("command")
    if not isinstance(command, str) or not command.strip():
        raise AutoscaleError(f"run.command {command!r} is not allowed: must be a text that is not empty")
    user = raw.get("user")
    if user is not None and (not isinstance(user, str) or not _USER.fullmatch(user)):
        raise AutoscaleError(f"run.user {user!r} is not allowed: must match {_USER.pattern}")
    variables = raw.get("environment") or {}
    resources = _resources(raw.get("resources") or {})
    for key, reason in beyond(provider, user, raw.get("pre_start"), resources.memory).items():
        raise AutoscaleError(f"run.{key} is not allowed: {reason}")
    return Run(
        provider=provider,
        artifact=_artifact(raw["artifact"]) if raw.get("artifact") else None,
        command=command,
        user=user,
        environment={_variable(name): _value(name, value) for name, value in variables.items()},
        pre_start=raw.get("pre_start"),
        resources=resources,
        stop_grace=_seconds(raw, "stop_grace", DEFAULT_STOP_GRACE),
    )


def _artifact(raw: Mapping[str, Any]) -> Artifact:
    url, checksum = raw.get("url"), raw.get("checksum")
    if not isinstance(url, str) or not url:
        raise AutoscaleError(f"run.artifact.url {url!r} is not allowed: must be a path or a file, http or https URL")
    match = _CHECKSUM.fullmatch(checksum) if isinstance(checksum, str) else None
    if match is None:
        raise AutoscaleError(f"run.artifact.checksum {checksum!r} is not allowed: must be sha256: and 64 hexadecimal digits")
    return Artifact(url, match.group(1).lower())


def _resources(raw: Mapping[str, Any]) -> Resources:
    cpu, memory = raw.get("cpu"), raw.get("memory")
    if cpu is not None and (isinstance(cpu, bool) or not isinstance(cpu, (int, float)) or cpu <= 0):
        raise AutoscaleError(f"run.resources.cpu {cpu!r} is not allowed: must be a number of cores above 0")
    size = parse_memory(memory)
    if memory is not None and size is None:
        raise AutoscaleError(f"run.resources.memory {memory!r} is not allowed: must be {MEMORY}")
    return Resources(cpu, size)


def _variable(name: object) -> str:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise AutoscaleError(f"run.environment: the name {name!r} is not allowed: must match {_VARIABLE.pattern}")
    return name


def _value(name: str, value: object) -> Value:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and set(value) == {"secret"} and isinstance(value["secret"], str):
        return Secret(value["secret"])
    # The value itself may be a secret that was put here by mistake: it is not repeated.
    raise AutoscaleError(f"run.environment.{name} is not allowed: must be a text or {{secret: name}}, got {type(value).__name__}")


def _seconds(raw: Mapping[str, Any], key: str, default: float) -> float:
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise AutoscaleError(f"{key} {value!r} is not allowed: must be a number of seconds, 0 or more")
    return float(value)
