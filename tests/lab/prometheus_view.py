# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus shows of a service."""

from __future__ import annotations

import json
import urllib.parse

from processes import http_get


def rate_of(url: str, service: str, seconds: int = 10) -> float:
    """Requests per second that arrive at HAProxy; 0 when nothing is known."""
    expression = f'sum(rate(haproxy_backend_sessions_total{{service="{service}"}}[{seconds}s]))'
    answer = json.loads(http_get(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
    found = answer["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0
