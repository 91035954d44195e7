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
        description: Where the service's clients connect. Without it only O(pools[].routes) of other services lead to this one.
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
      mode:
        description: What is balanced. With V(tcp) no request is looked at.
        type: str
        choices: [http, tcp]
        default: http
      algorithm:
        description:
          - How a server is chosen. V(random) takes the better of two.
          - V(source) hashes the client's address, V(hash) what O(pools[].hash_key) names; both consistently, so that a server
            that comes or goes moves few clients.
        type: str
        choices: [round_robin, least_conn, random, source, hash]
        default: round_robin
      hash_key:
        description: With O(pools[].algorithm=hash), V(uri) (path and query) or C(header:NAME).
        type: str
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
      max_queue:
        description: Most requests that wait for one instance; then others are tried.
        type: int
      slow_start:
        description: Seconds in which an instance that is new, or up again, gets to its full weight.
        type: float
        default: 0.0
      sticky_cookie:
        description: Name of a cookie, set by the balancer, that keeps a client with its instance.
        type: str
      rate_limit:
        description: Requests per second of one client address; more are answered with 429.
        type: int
      certificate:
        description:
          - File on the balancer with certificate, chain and private key, in the format PEM. With it the listener speaks TLS (1.2 and 1.3)
            and, with O(pools[].mode=http), HTTP/2.
        type: path
      timeouts:
        description: Timeouts.
        type: dict
        suboptions:
          connect:
            description: Seconds to connect to an instance.
            type: float
            default: 2.0
          response:
            description: Seconds for an instance to go on with its answer.
            type: float
            default: 60.0
          client:
            description: Seconds for a client to go on with its request.
            type: float
            default: 60.0
          queue:
            description: Seconds in the queue; Nginx has none.
            type: float
            default: 60.0
      routes:
        description:
          - Requests to this listener that are for other services, which need a pool on this balancer. The first one that matches counts;
            what none of them matches is for this service.
        type: list
        elements: dict
        suboptions:
          service:
            description: The service whose pool gets them.
            type: str
            required: true
          host:
            description: The host that is asked for, in lower case, without a port. Any by default.
            type: str
          path:
            description: This path and everything below it, such as V(/cart). Any by default.
            type: str
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
          backup:
            description: Whether it is a standby, which takes requests only when no other server can.
            type: bool
            default: false
"""
