# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Whether a maintenance has to begin or to end; nobody's own is ended by us."""

from __future__ import annotations


def due(what: str, current: str | None, enable: bool, reason: str) -> tuple[bool, str | None]:
    """Whether something has to be done, and a warning where what is there is left as it is.

    Args:
        what: the instance or node, for the warning.
        current: the reason of the maintenance that is on, None when there is none.
        enable: whether one shall begin, or end.
        reason: the new one's; when ending, only one whose reason begins with this text is ended, empty ends any.
    """
    if current is None:
        return enable, None
    if enable:
        # Consul keeps the first reason until the maintenance ends.
        other = bool(reason) and current != reason
        return False, f"{what} is in maintenance already, with the reason {current!r}" if other else None
    if not current.startswith(reason):
        return False, f"{what}: the maintenance with the reason {current!r} is not ours and was left on"
    return True, None
