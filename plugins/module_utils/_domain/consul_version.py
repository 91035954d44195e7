# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's version as a number that can be compared."""

from __future__ import annotations

import re

from .errors import AutoscaleError

Version = tuple[int, int, int]

# What follows tells builds apart, not what they know: 1.8.7+dfsg1, 1.22.0-rc1, 1.19.2+ent.
_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:[-+][0-9A-Za-z.+~-]*)?")


def read_version(text: str, path: str) -> Version:
    """Major, minor and patch of a text such as "1.8.7+dfsg1".

    Args:
        path: where the text stands, for the error.

    Raises:
        AutoscaleError: the text is not a version.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        raise AutoscaleError(f"{path}: must be a version such as 1.8.7, got {text!r}")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch or 0)
