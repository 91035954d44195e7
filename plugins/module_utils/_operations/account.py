# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The user that an instance runs as."""

from __future__ import annotations

import os
import pwd
from typing import Any

from .._domain.errors import AutoscaleError
from .._domain.instance import Instance


def find(instance: Instance, user: str) -> pwd.struct_passwd:
    """The entry of the user that run.user names, or AutoscaleError."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise AutoscaleError(f"instance {instance.id}: the user {user!r} of run.user does not exist on this host") from None


def refuse_root(instance: Instance, entry: pwd.struct_passwd, allow_root: bool) -> None:
    """Raise AutoscaleError when the user is root and that was not allowed."""
    if entry.pw_uid == 0 and not allow_root:
        raise AutoscaleError(
            f"instance {instance.id} would run as root, which is refused: give run.user, "
            "or set autoscale_allow_root: true for this host in the inventory"
        )


def for_subprocess(entry: pwd.struct_passwd) -> dict[str, Any]:
    """The arguments by which subprocess becomes this user."""
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(entry.pw_name, entry.pw_gid)}
