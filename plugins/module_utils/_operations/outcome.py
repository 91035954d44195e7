# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a use case returns to its door."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that differs.

    Args:
        what: the thing's path, such as "service shop-app1-20000 check".
        before: its state before, None when it did not exist.
        after: its state after, None when it is gone.
    """

    what: str
    before: Any
    after: Any


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a use case: `changed` and `diff` both come from `changes`, so they cannot disagree.

    Args:
        changes: what was changed, or would be in check mode; bookkeeping is not listed here.
        facts: further return values of the door.
        warnings: sentences for the user.
    """

    changes: tuple[Change, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    @property
    def diff(self) -> dict[str, Any]:
        return {
            "before": {change.what: change.before for change in self.changes if change.before is not None},
            "after": {change.what: change.after for change in self.changes if change.after is not None},
        }
