# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  at_deadline:
    description:
      - What is done when something is still in flight at the deadline, V(fail) and leave it in peace, or V(force) and go on with a warning.
    type: str
    choices: [fail, force]
    default: fail
"""
