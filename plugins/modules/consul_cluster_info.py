#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: consul_cluster_info
short_description: Look at a cluster of Consul servers, and wait until it is whole
version_added: 0.2.0
description:
  - Tells the servers of a cluster, who leads, and whether the cluster is settled, which means that it can spare a server.
  - A cluster is settled when a leader is known, every peer is alive for gossip and healthy for autopilot, and the agent that is asked
    is alive itself. If that is a server, it must also be a peer in touch with the leader, and must have applied the log as far as it
    went when the waiting began.
  - So the same wait goes before the restart of a server, and after it, before the next one.
  - An agent that is no server is settled when it is a member and knows a leader.
author:
  - microservices.autoscale authors (@microservices-autoscale)
options:
  wait:
    description:
      - V(none) tells what there is.
      - V(settled) waits until the cluster is settled. The token needs C(agent:read), and C(operator:read) on a server.
      - V(leader) waits until a leader is known only, which needs no right. It is for a cluster that has no tokens yet.
    type: str
    choices: [none, leader, settled]
    default: none
  servers:
    description: How many servers there have to be at least, with a vote where the role of each is known (O(wait=settled)).
    type: int
    default: 0
extends_documentation_fragment:
  - microservices.autoscale.wait
  - microservices.autoscale.consul
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  idempotent:
    support: full
seealso:
  - module: microservices.autoscale.consul_agent_config
"""

EXAMPLES = r"""
- name: Be sure that the cluster can spare this server
  microservices.autoscale.consul_cluster_info:
    wait: settled
    servers: 3
    wait_timeout: 60

- name: Who leads
  microservices.autoscale.consul_cluster_info:
  register: cluster

- name: Say it
  ansible.builtin.debug:
    msg: "{{ cluster.leader }} leads {{ cluster.servers | map(attribute='name') | join(', ') }}"
"""

RETURN = r"""
leader:
  description: Address and port of the leader, empty when none is known.
  type: str
  returned: success
  sample: 192.0.2.5:8300
settled:
  description: Whether the cluster can spare a server. Null for O(wait=leader), which does not look.
  type: bool
  returned: success
problems:
  description: Why it is not settled.
  type: list
  elements: str
  returned: always
servers:
  description:
    - The servers, with C(id), C(name), C(address), C(voter), C(leader), C(serf) as gossip says, and C(healthy) as autopilot says.
    - Empty when the agent that is asked is no server, or knows no leader.
  type: list
  elements: dict
  returned: unless O(wait=leader)
agent:
  description: The agent that was asked, with C(id), C(name), C(server) and C(leader).
  type: dict
  returned: unless O(wait=leader)
"""

from ..module_utils._module.argspec import CONSUL, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.consul_cluster import cluster_info

SPEC = (
    ArgumentSpec(
        {
            "wait": {"type": "str", "choices": ["none", "leader", "settled"], "default": "none"},
            "servers": {"type": "int", "default": 0},
        }
    )
    + WAIT
    + CONSUL
)


def _operation(params, check_mode):
    return cluster_info(consul_from(params), wait=params["wait"], servers=params["servers"], timeout=params["wait_timeout"])


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
