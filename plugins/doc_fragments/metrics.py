# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  prometheus_url:
    description: Where Prometheus listens. Without it every metric that needs it is unknown, which holds the count.
    type: str
  prometheus_timeout:
    description: Seconds to wait for a metric source.
    type: float
    default: 10
  haproxy_stats_urls:
    description: Statistics pages of the HAProxy balancers, for metrics whose source is C(haproxy).
    type: list
    elements: str
    default: []
  metrics_window:
    description: Time over which rates are taken, where a metric does not name its own. At least twice the scrape interval.
    type: str
    default: 60s
"""
