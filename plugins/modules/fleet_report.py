# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Draw load, response time and replicas of a service as one HTML page
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Writes one self-contained HTML page with charts of load, response time, desired and ready replicas over time, and a table
    of the decisions with their reasons.
  - Series come from Prometheus, which has to scrape the balancers' exporters as the role P(microservices.autoscale.prometheus#role)
    sets it up. Desired replicas and reasons come from the decision log.
  - Several windows of time are drawn over each other, aligned at their starts, so that they can be compared.
  - The same data gives the same page, which is not written again.
options:
  service:
    description: Name of the service.
    type: str
    required: true
  windows:
    description: Windows of time to draw, at most four. Without any, the last O(hours) hours are drawn.
    type: list
    elements: dict
    default: []
    suboptions:
      label:
        description: What the window is called in legends.
        type: str
        required: true
      start:
        description: Seconds since 1970, or ISO 8601 with an offset.
        type: str
        required: true
      end:
        description: Seconds since 1970, or ISO 8601 with an offset.
        type: str
        required: true
      phases:
        description: Named parts of the window. Those of the first window are drawn.
        type: list
        elements: dict
        default: []
        suboptions:
          label:
            description: Name of the part.
            type: str
            required: true
          start:
            description: As of the window.
            type: str
            required: true
          end:
            description: As of the window.
            type: str
            required: true
      client_series:
        description:
          - JSON file with a list of pairs of seconds since 1970 and a 95th percentile of the response time in seconds, as
            clients measured it. A null value is a gap.
        type: path
  hours:
    description: How far back to draw when there are no O(windows).
    type: float
    default: 12.0
  decision_log:
    description: The decision log that reconcile writes, a JSON object per line. Without it, no decisions are shown.
    type: path
  metrics_window:
    description: Seconds, or a duration such as V(60s), over which the load is averaged. At least two scrapes have to be in it.
    type: str
    default: 60s
  dest:
    description: The HTML file to write. Its folder has to exist.
    type: path
    required: true
  prometheus_url:
    description: Where Prometheus listens.
    type: str
    required: true
extends_documentation_fragment:
  - microservices.autoscale.prometheus
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows digests and totals of the page, not its text.
  idempotent:
    support: full
    details: Without O(windows) each run draws another time.
"""

EXAMPLES = r"""
- name: Draw the last night
  microservices.autoscale.fleet_report:
    service: shop
    prometheus_url: http://127.0.0.1:9090
    decision_log: /var/log/autoscale/decisions.jsonl
    windows:
      - label: last night
        start: "2026-11-22T18:00:00+00:00"
        end: "2026-11-23T06:00:00+00:00"
    dest: /srv/reports/shop.html

- name: Compare two evenings
  microservices.autoscale.fleet_report:
    service: shop
    prometheus_url: http://127.0.0.1:9090
    decision_log: /var/log/autoscale/decisions.jsonl
    windows:
      - {label: with scaling, start: "1795456800", end: "1795464000"}
      - {label: without scaling, start: "1795370400", end: "1795377600"}
    dest: /srv/reports/shop-compared.html
"""

RETURN = r"""
dest:
  description: The HTML file.
  returned: success
  type: str
windows:
  description: What was found in each window.
  returned: success
  type: list
  elements: dict
  contains:
    label:
      description: As given.
      type: str
    points:
      description: Number of points of the load.
      type: int
    load_max:
      description: The highest load in requests per second, or null.
      type: float
    ready_min:
      description: The fewest ready replicas, or null.
      type: float
    ready_max:
      description: The most ready replicas, or null.
      type: float
    decisions:
      description: Number of decisions.
      type: int
    scale_outs:
      description: Decisions that added replicas.
      type: int
    scale_ins:
      description: Decisions that removed replicas.
      type: int
"""

from ..module_utils._clients.prometheus import Prometheus
from ..module_utils._module.argspec import PROMETHEUS, ArgumentSpec
from ..module_utils._module.run import run
from ..module_utils._operations.report import write_report

_TIMES = {
    "label": {"type": "str", "required": True},
    "start": {"type": "str", "required": True},
    "end": {"type": "str", "required": True},
}
SPEC = PROMETHEUS + ArgumentSpec(
    {
        "service": {"type": "str", "required": True},
        "windows": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                **_TIMES,
                "phases": {"type": "list", "elements": "dict", "default": [], "options": _TIMES},
                "client_series": {"type": "path"},
            },
        },
        "hours": {"type": "float", "default": 12.0},
        "decision_log": {"type": "path"},
        "metrics_window": {"type": "str", "default": "60s"},
        "dest": {"type": "path", "required": True},
        "prometheus_url": {"type": "str", "required": True},
    }
)


def operation(params, check_mode):
    return write_report(
        Prometheus(params["prometheus_url"], timeout=params["prometheus_timeout"]),
        service=params["service"],
        windows=params["windows"],
        hours=params["hours"],
        decision_log=params["decision_log"],
        dest=params["dest"],
        metrics_window=params["metrics_window"],
        check_mode=check_mode,
    )


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
