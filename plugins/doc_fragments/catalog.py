# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  tags:
    description: Only instances that have all of these tags. As in Consul, capitals and small letters are the same.
    type: list
    elements: str
    default: []
  filter:
    description:
      - Only instances for which this expression of Consul's filter language is true, such as V(Service.Meta.zone == "a" and Checks.Status
        != "critical"). Its selectors begin with C(Node), C(Service) or C(Checks), as in the answers of C(/v1/health/service).
      - A wrong expression is refused before Consul is asked. What Consul answers is filtered once more here, so that a server that ignores
        the filter, or does not know a part of it, does no harm. An expression with C(matches) is applied here alone, because Consul 1.8
        takes a meta key that is absent for one that matches.
    type: str
  near:
    description:
      - Sort by distance from this node, nearest first, by Consul's own measurement; V(_agent) is the agent that is asked.
      - A node that Consul does not know changes nothing.
    type: str
  datacenter:
    description: The datacenter to read. That of the agent by default.
    type: str
  consistency:
    description:
      - V(default) is answered by the leader. V(stale) by any server, also where there is no leader, and may be old. V(consistent) by the
        leader after it has made sure that it is one.
    type: str
    choices: [default, stale, consistent]
    default: default
  cached:
    description:
      - The agent may answer from its own cache, which it keeps fresh in the background. The answer may be old.
      - Not together with O(consistency=consistent).
    type: bool
    default: false
  namespace:
    description: A namespace of Consul Enterprise. A server without namespaces refuses it.
    type: str
  partition:
    description: An admin partition of Consul Enterprise. Refused where Consul is older than 1.11, which would answer with other data.
    type: str
  peer:
    description: A cluster peer. Refused where Consul is older than 1.13, which would answer with data of its own.
    type: str
  minimum:
    description:
      - Fail when fewer instances than this are healthy, for each service by itself.
      - Set it where there were instances before. An empty answer is no proof that nothing is there, and with this it is an error.
    type: int
    default: 0
"""
