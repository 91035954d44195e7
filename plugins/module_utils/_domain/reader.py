# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads untyped data into typed values and collects every error with its path, instead of stopping at the first."""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Sequence, TypeVar

from .errors import AutoscaleError, InvalidDescription

T = TypeVar("T")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Reader:
    """One value of a description, with its path.

    Each method returns the typed value; on a wrong value it notes an error and returns a harmless stand-in, so that
    reading goes on. Call finish() on the root before using anything.

    Args:
        value: the data, None where it was not given.
        path: how the user names this place.
        errors: the list shared by the whole description.
    """

    def __init__(self, value: Any, path: str, errors: list[str] | None = None) -> None:
        self.value = value
        self.path = path
        self._errors: list[str] = [] if errors is None else errors

    @property
    def given(self) -> bool:
        return self.value is not None

    def finish(self) -> None:
        """Raise InvalidDescription with all errors noted so far."""
        if self._errors:
            raise InvalidDescription(self._errors)

    def refuse(self, allowed: str) -> None:
        """Note that the value is wrong and what is allowed."""
        self._errors.append(f"{self.path}: {allowed}, got {self.value!r}" if self.given else f"{self.path}: {allowed}, but it is missing")

    def fields(self, *allowed: str) -> dict[str, Reader]:
        """The mapping's values by key, for each allowed key; unknown keys are refused."""
        value: Any = {}
        if isinstance(self.value, dict):
            value = self.value
        elif self.given:
            self.refuse(f"must be a mapping of {', '.join(allowed)}")
        for key in value:
            if key not in allowed:
                self._errors.append(f"{self.path}.{key}: is not known or not implemented yet; allowed here: {', '.join(allowed)}")
        return {key: Reader(value.get(key), f"{self.path}.{key}", self._errors) for key in allowed}

    def entries(self) -> dict[str, Reader]:
        """The values of a mapping with free keys."""
        if self.given and not isinstance(self.value, dict):
            self.refuse("must be a mapping")
        value = self.value if isinstance(self.value, dict) else {}
        return {str(key): Reader(item, f"{self.path}.{key}", self._errors) for key, item in value.items()}

    def items(self) -> list[Reader]:
        """The elements of a list; a tuple is one too, as a dataclass gives it."""
        if self.given and not isinstance(self.value, (list, tuple)):
            self.refuse("must be a list")
        value = self.value if isinstance(self.value, (list, tuple)) else []
        return [Reader(item, f"{self.path}[{index}]", self._errors) for index, item in enumerate(value)]

    def replaced(self, value: Any) -> Reader:
        """The same place with another value: how short forms become long ones."""
        return Reader(value, self.path, self._errors)

    def within(self, path: str, value: Any) -> Reader:
        """A place below this one, by the rest of its path."""
        return Reader(value, f"{self.path}{path}", self._errors)

    def text(self, default: str | None = None, *, pattern: str | None = None, hint: str = "must be text") -> str:
        if not self.given and default is not None:
            return default
        if not isinstance(self.value, str) or not self.value or (pattern is not None and not re.fullmatch(pattern, self.value)):
            self.refuse(hint)
            return default or ""
        return self.value

    def optional_text(self, *, pattern: str | None = None, hint: str = "must be text") -> str | None:
        return self.text(pattern=pattern, hint=hint) if self.given else None

    def choice(self, choices: Sequence[str], default: str | None = None) -> str:
        if not self.given and default is not None:
            return default
        if self.value not in choices:
            self.refuse(f"must be one of {', '.join(choices)}")
            return default or choices[0]
        return str(self.value)

    def flag(self, default: bool) -> bool:
        if self.given and not isinstance(self.value, bool):
            self.refuse("must be true or false")
            return default
        return default if self.value is None else bool(self.value)

    def integer(self, default: int | None = None, *, at_least: int, at_most: int | None = None) -> int:
        if not self.given and default is not None:
            return default
        allowed = f"must be a whole number of at least {at_least}" + (f" and at most {at_most}" if at_most is not None else "")
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least or (at_most is not None and value > at_most):
            self.refuse(allowed)
            return at_least if default is None else default
        return value

    def number(self, default: float | None = None, *, above: float | None = None, at_least: float = 0.0) -> float:
        if not self.given and default is not None:
            return default
        allowed = f"must be greater than {above:g}" if above is not None else f"must be at least {at_least:g}"
        value = self.value
        if isinstance(value, bool) or not _is_finite(value):
            self.refuse(f"must be a number, {allowed.removeprefix('must be ')}")
            return at_least if default is None else default
        if value <= above if above is not None else value < at_least:
            self.refuse(allowed)
            return at_least if default is None else default
        return float(value)

    def duration(self, default: float | None = None, *, at_least: float = 0.0, at_most: float | None = None) -> float:
        """Seconds, from a number or from text such as 500ms, 10s, 5m, 1h."""
        if not self.given and default is not None:
            return default
        seconds = parse_duration(self.value)
        limits = f"at least {at_least:g} s" + (f" and at most {at_most:g} s" if at_most is not None else "")
        if seconds is None or seconds < at_least or (at_most is not None and seconds > at_most):
            self.refuse(f"must be a duration such as 30, 10s or 5m, {limits}")
            return at_least if default is None else default
        return seconds

    def checked(self, check: Callable[[Any], T], default: T) -> T:
        """The value as returned by a function that raises AutoscaleError on a wrong one."""
        try:
            return check(self.value)
        except AutoscaleError as error:
            self._errors.append(f"{self.path}: {error.message}")
            return default


def parse_duration(value: object) -> float | None:
    """Seconds from a number or text such as 500ms, 10s, 5m, 1h; None when it is neither."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if _is_finite(value) and value >= 0 else None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = float(match.group(1)) * _SECONDS[match.group(2) or "s"] if match else math.inf
    return seconds if math.isfinite(seconds) else None


def _is_finite(value: object) -> bool:
    """Whether it is a number that a float can hold."""
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        return False
