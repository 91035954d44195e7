# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  session:
    description:
      - The session by which this run holds the locks of the services that it changes, as M(microservices.autoscale.consul_lock) returns it.
      - Before each change, and while it waits, the module checks that the lock is still held, and renews the session.
        When the lock is lost, nothing further is changed.
      - If not set, no lock is checked.
    type: str
"""
