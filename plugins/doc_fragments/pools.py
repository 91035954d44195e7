# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pools:
    description: The pools. An empty list does nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: The service.
        type: str
        required: true
      state:
        description: With V(absent) the service's listener and servers are removed; only O(pools[].service) is used then.
        type: str
        choices: [present, absent]
        default: present
      listen:
        description: Where the service's clients connect.
        type: dict
        suboptions:
          address:
            description: IP address.
            type: str
            required: true
          port:
            description: Port.
            type: int
            required: true
      algorithm:
        description: How a server is chosen. V(random) takes the better of two, V(source) hashes the client's address consistently.
        type: str
        choices: [round_robin, least_conn, random, source]
        default: round_robin
      check:
        description: How an instance is checked. Either O(pools[].check.http) or O(pools[].check.tcp) is required.
        type: dict
        suboptions:
          http:
            description: Path that answers with a status of 2xx or 3xx.
            type: str
          tcp:
            description: Whether a connection is enough.
            type: bool
            default: false
          interval:
            description: Seconds between checks.
            type: float
            default: 2.0
          timeout:
            description: Seconds for an answer.
            type: float
            default: 1.0
      max_connections:
        description: Most connections at a time to one instance; more are queued.
        type: int
      servers:
        description: The instances in rotation, and no others.
        type: list
        elements: dict
        default: []
        suboptions:
          id:
            description: The instance's id.
            type: str
            required: true
          address:
            description: IP address.
            type: str
            required: true
          port:
            description: Port.
            type: int
            required: true
          weight:
            description: Weight from 0 to 256. Of 0 the server gets no requests.
            type: int
            default: 100
"""
