#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nginx_server
short_description: Drain servers of a running Nginx
version_added: 0.2.0
description:
  - Takes servers out of the services' files, reloads once for all of them, and waits until every old worker has ended.
    From then on Nginx sends them nothing, and nothing is in flight.
  - Old workers have requests of all services, so that a slow one of another service is waited for, too.
  - Also where the files are without the servers already, old workers that have not ended are waited for.
  - A server comes back by M(microservices.autoscale.nginx_config).
author:
  - microservices.autoscale authors (@microservices-autoscale)
options:
  state:
    description: V(drained), the server gets no requests and none is in flight. A server that does not exist is drained.
    type: str
    choices: [drained]
    default: drained
  servers:
    description: The servers. An empty list does nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      backend:
        description: Name of the upstream, C(autoscale_<service>).
        type: str
        required: true
      server:
        description: The instance id.
        type: str
        required: true
      service:
        description: The service whose lock covers the change. Default is the upstream's name without the prefix V(autoscale_).
        type: str
  wait_timeout:
    description: Seconds for old workers to end.
  at_deadline:
    description:
      - What is done with old workers that have not ended after O(wait_timeout), V(fail) and list the services of which servers went in
        RV(failures), or V(force) and take them as drained, with a warning. Neither ends a worker.
extends_documentation_fragment:
  - microservices.autoscale.wait
  - microservices.autoscale.deadline
  - microservices.autoscale.batch
  - microservices.autoscale.nginx
  - microservices.autoscale.attributes
  - microservices.autoscale.lease
  - microservices.autoscale.consul
"""

EXAMPLES = r"""
- name: Take two instances out of rotation and wait until nothing is in flight
  microservices.autoscale.nginx_server:
    config_dir: /etc/nginx/conf.d
    base_config: /etc/nginx/nginx.conf
    pid_file: /run/nginx.pid
    access_log: /var/log/nginx/autoscale.log
    wait_timeout: 120
    servers:
      - {backend: autoscale_shop, server: shop-app1-20000}
      - {backend: autoscale_shop, server: shop-app2-20000}
"""

RETURN = r"""
servers:
  description: The servers that are drained.
  type: list
  elements: dict
  returned: success
  sample: [{service: shop, server: shop-app1-20000}]
reloads:
  description: How often Nginx was reloaded.
  type: int
  returned: success
  sample: 1
failures:
  description: The servers that are not drained, and why.
  type: list
  elements: dict
  returned: always
  sample: [{service: shop, instance: shop-app1-20000, error: "shop: Nginx's new workers do without what went, but 1 old ones (4711) …"}]
"""

from ..module_utils._clients.nginx import Master, NginxFiles
from ..module_utils._module.argspec import BATCH, CONSUL, DEADLINE, LEASE, NAMED_SERVER, NGINX, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.lease import Lease
from ..module_utils._operations.nginx_pools import drain_servers

SPEC = (
    ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["drained"], "default": "drained"},
            "servers": {"type": "list", "elements": "dict", "required": True, "options": NAMED_SERVER},
        }
    )
    + WAIT
    + DEADLINE
    + BATCH
    + NGINX
    + LEASE
    + CONSUL
)


def _operation(params, check_mode):
    return drain_servers(
        NginxFiles(params["config_dir"], params["base_config"], params["binary"]),
        Master(params["pid_file"]),
        Lease(consul_from(params), params["session"]),
        params["servers"],
        access_log=params["access_log"],
        wait_timeout=params["wait_timeout"],
        reload_timeout=params["reload_timeout"],
        force=params["at_deadline"] == "force",
        on_error=params["on_error"],
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
