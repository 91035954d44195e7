# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads descriptions where they enter: with what the domain cannot check, because a library has to read it."""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterable, TypeVar

from .._domain import description
from .._domain.errors import AutoscaleError, InvalidDescription
from .._domain.reader import Reader
from .._domain.service import Service
from . import formulas, schedules

T = TypeVar("T")


def read_services(descriptions: Any, path: str = "autoscale_services") -> tuple[Service, ...]:
    """Read a mapping of descriptions by service name.

    Raises:
        InvalidDescription: with every error of every description, those of schedules and formulas among them.
    """
    return _checked(lambda: description.read_services(descriptions, path), _quiet(descriptions, path).entries().values())


def read_service(name: str, described: Any, path: str) -> Service:
    """Read one description; raises InvalidDescription with all its errors."""
    return _checked(lambda: description.read_service(name, described, path), [_quiet(described, path)])


def _checked(read: Callable[[], T], services: Iterable[Reader]) -> T:
    errors = [error for service in services for error in policy_errors(service.entries().get("scale"))]
    try:
        result = read()
    except InvalidDescription as error:
        raise InvalidDescription((*error.errors, *errors)) from None
    if errors:
        raise InvalidDescription(errors)
    return result


def policy_errors(scale: Reader | None) -> list[str]:
    """What is wrong with the schedules and formulas of a `scale` block, each with its path."""
    errors: list[str] = []
    fields = _quiet(scale.value, scale.path).entries() if scale else {}
    for schedule in fields["schedules"].items() if "schedules" in fields else ():
        _check_schedule(schedule.entries(), errors)
    for metric in fields["metrics"].items() if "metrics" in fields else ():
        given = metric.entries()
        names = given["readings"].entries() if "readings" in given else {}
        _check(given, "formula", functools.partial(formulas.check, names=tuple(names)), errors)
    return errors


def _check_schedule(given: dict[str, Reader], errors: list[str]) -> None:
    _check(given, "cron", schedules.check_cron, errors)
    _check(given, "time_zone", schedules.time_zone, errors)
    start = _check(given, "start", schedules.local_time, errors)
    end = _check(given, "end", schedules.local_time, errors)
    if start is not None and end is not None and end <= start:
        errors.append(f"{given['end'].path}: must be after start, which is {start.isoformat()}, got {given['end'].value!r}")


def _check(given: dict[str, Reader], name: str, check: Callable[[str], T], errors: list[str]) -> T | None:
    """What is no text is refused by the domain."""
    value = given[name].value if name in given else None
    if not isinstance(value, str) or not value:
        return None
    try:
        return check(value)
    except AutoscaleError as error:
        errors.append(f"{given[name].path}: {error.message}")
        return None


def _quiet(value: Any, path: str) -> Reader:
    """A reader whose own errors are not kept: those of the form are the domain's."""
    return Reader(value, path, [])
