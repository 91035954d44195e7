# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What every module says about check mode, diff mode and repetition; a module overrides `support` and adds `details`."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would change, without changing anything.
    support: full
  diff_mode:
    description: Returns the differences, or what would differ, in diff mode.
    support: full
  idempotent:
    description: When run twice with the same options, and nothing else has changed meanwhile, the second time changes nothing.
    support: full
"""
