# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The result of a step that does the same for many instances: one bad instance never hides what happened to the others."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._domain.errors import AutoscaleError
from .outcome import Change, Outcome


@dataclasses.dataclass(frozen=True)
class Failure:
    """One instance for which the step failed."""

    service: str
    instance: str
    error: str

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was changed (or would be, in check mode), what failed and what the user should know."""

    changes: tuple[Change, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Result) -> Result:
        return Result(self.changes + other.changes, self.failures + other.failures, self.warnings + other.warnings)

    def outcome(self, on_error: str, **facts: Any) -> Outcome:
        """The outcome of the whole step.

        Args:
            on_error: "fail" raises AutoscaleError when anything failed, "report" only lists it.
            facts: further return values.
        """
        failures = [failure.as_dict() for failure in self.failures]
        if failures and on_error == "fail":
            told = dict.fromkeys(failure.error for failure in self.failures)
            raise AutoscaleError("\n".join(told), failures=failures, changed=bool(self.changes))
        return Outcome(self.changes, {**facts, "failures": failures}, self.warnings)
