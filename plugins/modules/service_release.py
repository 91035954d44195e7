# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_release
short_description: Publish services' descriptions as releases in Consul KV
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Validates descriptions of services, all of them before anything is written, and publishes each as the service's release. That is what
    the fleet is reconciled with from then on, by any controller.
  - A release that is equal is left as it is. Instances are not touched.
options:
  state:
    description:
      - V(valid) only checks the descriptions.
      - V(published) publishes them.
      - V(removing) marks the service O(name) as being taken away, which a run that was killed can go on from.
      - V(absent) deletes everything that Consul KV holds of the service O(name). It must not have an instance any more.
    type: str
    choices: [valid, published, removing, absent]
    default: published
  name:
    description: The service that is removed.
    type: str
  balancers:
    description:
      - The inventory group of the hosts that balance. A description must not ask for what one of O(hosts) in it cannot do.
      - With O(groups), the group that a description names must be one of them.
    type: str
    default: autoscale_balancers
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.signing
  - microservices.autoscale.locking
  - microservices.autoscale.descriptions
  - microservices.autoscale.inventory
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Publish a folder of descriptions
  microservices.autoscale.service_release:
    descriptions_dir: /srv/autoscale/services
    groups: "{{ groups }}"
    hosts: "{{ groups['autoscale_balancers'] | microservices.autoscale.fleet_hosts(hostvars, ansible_play_hosts_all) }}"

- name: Check a description without touching anything
  microservices.autoscale.service_release:
    state: valid
    descriptions:
      shop:
        version: "1.4.2"
        run:
          provider: supervisor
          command: /usr/bin/python3 -m http.server --bind {address} {port}
        hosts: app
        port_range: 20000-20999
"""

RETURN = r"""
services:
  description: Names of the described services.
  type: list
  elements: str
  returned: success
published:
  description: Names of those whose release was new or different.
  type: list
  elements: str
  returned: when O(state=published)
"""

from ..module_utils._domain import names
from ..module_utils._domain.balancing import kinds_of, require_balanceable
from ..module_utils._domain.description import require_known_groups
from ..module_utils._module.argspec import CONSUL, DESCRIPTIONS, INVENTORY, LOCKING, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import described_from, locking_from, signing_from
from ..module_utils._module.run import run
from ..module_utils._operations import releases
from ..module_utils._operations.outcome import Outcome

SPEC = (
    CONSUL
    + SIGNING
    + DESCRIPTIONS
    + INVENTORY
    + LOCKING
    + ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["valid", "published", "removing", "absent"], "default": "published"},
            "name": {"type": "str"},
            "balancers": {"type": "str", "default": "autoscale_balancers"},
        },
        {"required_if": [["state", "removing", ["name"]], ["state", "absent", ["name"]]]},
    )
)


def operation(params, check_mode):
    locking = {"locking": locking_from(params), "check_mode": check_mode}
    if params["state"] == "removing":
        return releases.begin_removal(consul_from(params), names.service_name(params["name"]), signing_from(params), **locking)
    if params["state"] == "absent":
        return releases.finish_removal(consul_from(params), names.service_name(params["name"]), **locking)
    services = described_from(params)
    balancers = kinds_of(params["hosts"], params["groups"].get(params["balancers"], ()))
    if params["groups"]:
        require_known_groups(services, params["groups"])
        require_balanceable(services, balancers)
    if params["state"] == "valid":
        return Outcome(facts={"services": [service.name for service in services]})
    return releases.publish(consul_from(params), services, signing_from(params), balancers=balancers, **locking)


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
