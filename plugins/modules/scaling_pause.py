# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scaling_pause
short_description: Pause the scaling of a service for a time
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Writes a pause into the service's override in Consul KV, signed and under the service's lock. The next runs of reconcile keep to it, on
    whatever controller, until it ends.
  - The bounds of the policy, of its schedules, and those pinned by a change of the count by hand hold all the same, and lost or
    unhealthy instances are replaced.
options:
  name:
    description: The service.
    type: str
    required: true
  pause:
    description: What may not happen meanwhile. V(none) takes a pause away.
    type: str
    choices: [none, scale_up, scale_down, both]
    required: true
  seconds:
    description: For how long, from now.
    type: float
    default: 3600
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.signing
  - microservices.autoscale.locking
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A pause that is in force already is prolonged, which is a change. Taking away what is not there is none.
seealso:
  - module: microservices.autoscale.fleet_plan
"""

EXAMPLES = r"""
- name: Take no instance of the shop away during the sale
  microservices.autoscale.scaling_pause:
    name: shop
    pause: scale_down
    seconds: 7200

- name: The sale is over
  microservices.autoscale.scaling_pause:
    name: shop
    pause: none
"""

RETURN = r"""
override:
  description: What is in force by hand from now on, with local times; none when nothing is.
  type: dict
  returned: success
  sample: {"pause": "scale_down", "pause_until": "2026-11-24 20:00:00"}
"""

from ..module_utils._domain import names
from ..module_utils._module.argspec import CONSUL, LOCKING, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import locking_from, signing_from
from ..module_utils._module.run import run
from ..module_utils._operations.overrides import pause

SPEC = (
    CONSUL
    + SIGNING
    + LOCKING
    + ArgumentSpec(
        {
            "name": {"type": "str", "required": True},
            "pause": {"type": "str", "choices": ["none", "scale_up", "scale_down", "both"], "required": True},
            "seconds": {"type": "float", "default": 3600.0},
        }
    )
)


def operation(params, check_mode):
    locking = {"locking": locking_from(params), "check_mode": check_mode}
    service = names.service_name(params["name"])
    return pause(consul_from(params), service, params["pause"], params["seconds"], signing_from(params), **locking)


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
