# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  lock_wait:
    description: Seconds to wait for the services' locks.
    type: float
    default: 30.0
  lock_ttl:
    description: Seconds for which the locks live on should this run be killed, from 10 to 86400; Consul may take twice as long.
    type: float
    default: 60.0
  lock_delay:
    description: Seconds for which nobody gets them after that.
    type: float
    default: 15.0
"""
