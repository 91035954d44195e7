# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  signing_key:
    description:
      - Key by which releases, scales and overrides in Consul KV are signed (HMAC-SHA256) and checked.
      - What is unsigned or altered is refused, since whoever can write there could start commands on hosts.
    type: str
  allow_unsigned:
    description: Whether documents without a signature are accepted. Meant for a lab.
    type: bool
    default: false
"""
