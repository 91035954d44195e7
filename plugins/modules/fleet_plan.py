# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_plan
short_description: Observe the fleet, decide how many replicas each service should have, and plan the steps
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Reads the releases and their history from Consul KV, the instances from the catalog and the metrics from their source, decides,
    and returns the ordered steps that take the fleet from what is to what is desired. All in one process on the controller.
  - Changes no host. Without O(session) it takes no lock and writes bookkeeping only, see O(record).
  - With O(session) it plans again for the services in O(locked), and commits the decision (scale, history, reserved places)
    before it is carried out, so that a run which is killed leaves what the next run finishes.
options:
  services:
    description: Names of the services to look at. All that are deployed by default.
    type: list
    elements: str
    default: []
  balancers:
    description: The inventory group of the hosts that balance.
    type: str
    default: autoscale_balancers
  rollout:
    description: Replace instances that run another release, one by one.
    type: bool
    default: false
  explicit:
    description: A person asked for this run. An empty answer from Consul is then believed, and a removal goes on.
    type: bool
    default: false
  rebalance:
    description:
      - Bring every balancer its pools, also those that it was confirmed to have. For one that was built anew or changed by hand.
      - There is then a step for each pool at each look.
    type: bool
    default: false
  removing:
    description: Plan as if the services were marked as being removed.
    type: bool
    default: false
  scale_by:
    description:
      - Change the count of the services by so many, whatever the metrics say. It has to stay inside the policy's bounds.
      - When it is committed, it becomes an override that the next runs respect for O(override_seconds).
    type: int
    default: 0
  override_seconds:
    description: How long a change by O(scale_by) holds.
    type: float
    default: 3600
  max_removals:
    description:
      - How many instances may leave the fleet in one run. Like the limits below it is counted before the first one goes, for all
        services together, and what all of them add has its part before anything that any of them takes away. The rest waits for
        the next run, and C(summary) says so.
    type: int
    default: 10
  max_additions:
    description: How many instances may be started in one run, replacements included. No limit by default.
    type: int
  max_services:
    description: Of how many services instances may be started or leave in one run. No limit by default.
    type: int
  max_percent:
    description: How many instances may be started and leave in one run, together, in per cent (1 to 100) of those that are there. At
      least one may. No limit by default.
    type: int
  explain:
    description: Return RV(decisions) also outside check mode.
    type: bool
    default: false
  session:
    description: The session that holds the locks of the services in O(locked). Commits the decision.
    type: str
  locked:
    description: The services whose locks are held by O(session).
    type: list
    elements: str
    default: []
  record:
    description: Whether recommendations are written to the history in Consul KV, and decisions to O(decision_log). Never in check mode.
    type: bool
    default: true
  decision_log:
    description: File on the controller to which each new decision is appended as one JSON line.
    type: path
  textfile:
    description:
      - File on the controller in which the run's metrics are left, for the textfile collector of Prometheus's node exporter.
      - Its name ends in C(.prom).
      - It tells of the whole fleet, so leave O(services) empty with it. Not written in check mode, nor with O(session).
      - A look that finds steps to be carried out is no success yet; look again at the end, with O(textfile_problems).
      - The time of the last success is kept from the file when this run is none. A file that cannot be written is a warning.
    type: path
  textfile_problems:
    description: The run is at its end, and has told of so many problems. Without it, those that this look finds count in O(textfile).
    type: int
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.metrics
  - microservices.autoscale.signing
  - microservices.autoscale.inventory
  - microservices.autoscale.descriptions
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
    details: Reports a change when there are steps, which another task would carry out.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: microservices.autoscale.scaling_decision
  - module: microservices.autoscale.scaling_pause
  - module: microservices.autoscale.scaling_record
"""

EXAMPLES = r"""
- name: What would reconcile do
  microservices.autoscale.fleet_plan:
    consul_url: http://127.0.0.1:8500
    prometheus_url: http://127.0.0.1:9090
    hosts: "{{ groups['all'] | microservices.autoscale.fleet_hosts(hostvars, ansible_play_hosts_all) }}"
    groups: "{{ groups }}"
  check_mode: true
  diff: true
  register: planned

- name: Show it
  ansible.builtin.debug:
    var: planned.summary
"""

RETURN = r"""
plan:
  description: The steps by phase and host, the hosts that they touch, and how many rounds are needed.
  type: dict
  returned: success
  contains:
    rounds:
      description: How many times a plan has to be made and carried out; 0 when there is nothing to do.
      type: int
    hosts:
      description: The hosts with a step.
      type: list
      elements: str
    services:
      description: The services with a step.
      type: list
      elements: str
    changes:
      description: By service with a step, the replicas that it has and is to have, and what starts, stops or is balanced anew.
      type: dict
    steps:
      description: Items by phase (start, balance, maintain, drain, stop, forget) and host.
      type: dict
    pools:
      description: By service and balancer, what is in rotation when the steps are done.
      type: dict
    settled:
      description: By service, the instances that are started or stopped.
      type: dict
summary:
  description: One line per service with a change or a new decision, and its notes.
  type: list
  elements: str
  returned: success
  sample: ["shop: 2 -> 4: requests 61 against a target of 20 asks for 4; starts shop-app1-20001, shop-app2-20001"]
problems:
  description: What is wrong and needs somebody's attention. The steps are carried out all the same.
  type: list
  elements: str
  returned: success
decisions:
  description: All decisions by service, each as in the decision log.
  type: dict
  returned: with O(explain), or in check mode
"""

from dataclasses import replace

from ..module_utils._domain import names
from ..module_utils._domain.budget import Budget
from ..module_utils._module.argspec import CONSUL, DESCRIPTIONS, INVENTORY, METRICS, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import described_from, holder, run_seconds, signing_from, sources_from
from ..module_utils._module.run import run
from ..module_utils._operations import fleet
from ..module_utils._operations.fleet_outcome import outcome
from ..module_utils._operations.textfile import Textfile

SPEC = (
    CONSUL
    + METRICS
    + SIGNING
    + INVENTORY
    + DESCRIPTIONS
    + ArgumentSpec(
        {
            "services": {"type": "list", "elements": "str", "default": []},
            "balancers": {"type": "str", "default": "autoscale_balancers"},
            "rollout": {"type": "bool", "default": False},
            "explicit": {"type": "bool", "default": False},
            "rebalance": {"type": "bool", "default": False},
            "removing": {"type": "bool", "default": False},
            "scale_by": {"type": "int", "default": 0},
            "override_seconds": {"type": "float", "default": 3600.0},
            "max_removals": {"type": "int", "default": 10},
            "max_additions": {"type": "int"},
            "max_services": {"type": "int"},
            "max_percent": {"type": "int"},
            "explain": {"type": "bool", "default": False},
            "session": {"type": "str"},
            "locked": {"type": "list", "elements": "str", "default": []},
            "record": {"type": "bool", "default": True},
            "decision_log": {"type": "path"},
            "textfile": {"type": "path"},
            "textfile_problems": {"type": "int"},
        }
    )
)


def operation(params, check_mode):
    request = fleet.Request(
        hosts=tuple(params["hosts"]),
        groups=params["groups"],
        described=described_from(params),
        **{name: params[name] for name in ("balancers", "rollout", "explicit", "rebalance", "removing", "scale_by", "override_seconds")},
        budget=Budget(**{name: params[name] for name in ("max_removals", "max_additions", "max_services", "max_percent")}),
        services=tuple(names.service_name(service) for service in params["services"]),
    )
    arguments = (consul_from(params), sources_from(params), signing_from(params), request)
    if params["session"] and not check_mode:
        picture = fleet.commit(*arguments, session=params["session"], locked=params["locked"], holder=holder(), log=params["decision_log"])
        return outcome(picture, check_mode, params["explain"])
    textfile = Textfile(None if check_mode else params["textfile"], params["textfile_problems"], run_seconds)
    with textfile.failures():
        picture = fleet.look(*arguments)
        if params["record"] and not check_mode:
            fleet.keep_books(arguments[0], arguments[2], picture, log=params["decision_log"])
    return replace(outcome(picture, check_mode, params["explain"]), warnings=textfile.note(picture))


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
