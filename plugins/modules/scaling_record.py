# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scaling_record
short_description: Record in Consul KV what a round of steps has done
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Confirms, for services whose steps were all carried out, which instances are in rotation on which balancer, and that reserved places are
    filled. Guarded by the services' locks, by check-and-set.
  - This is bookkeeping, so it never reports a change.
options:
  pools:
    description: The C(pools) of the plan that was carried out.
    type: dict
    required: true
  settled:
    description: The C(settled) of the plan that was carried out.
    type: dict
    default: {}
  services:
    description: The services without a failed step.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.lease
  - microservices.autoscale.signing
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
    details: Writes nothing in check mode.
  diff_mode:
    support: none
    details: Bookkeeping is not a change.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Confirm what was carried out
  microservices.autoscale.scaling_record:
    session: "{{ lock.session }}"
    pools: "{{ planned.plan.pools }}"
    settled: "{{ planned.plan.settled }}"
    services: [shop]
"""

RETURN = r""" # """

from ..module_utils._module.argspec import CONSUL, LEASE, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import signing_from
from ..module_utils._module.run import run
from ..module_utils._operations.outcome import Outcome
from ..module_utils._operations.recording import record

SPEC = (
    CONSUL
    + LEASE
    + SIGNING
    + ArgumentSpec(
        {
            "pools": {"type": "dict", "required": True},
            "settled": {"type": "dict", "default": {}},
            "services": {"type": "list", "elements": "str", "required": True},
        }
    )
)


def operation(params, check_mode):
    if not check_mode:
        what = {name: params[name] for name in ("session", "pools", "settled", "services")}
        record(consul_from(params), signing_from(params), **what)
    return Outcome()


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
