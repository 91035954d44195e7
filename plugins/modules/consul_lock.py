# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: consul_lock
short_description: Acquire and release the locks of services in Consul
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Acquires the locks C(autoscale/SERVICE/lock) of some services, or the fleet's C(autoscale/lock), by one session, and releases
    them. Whatever changes a service holds its lock.
  - A lock is not renewed in the background. Every module that takes the option C(session) checks and renews it before
    each change and while it waits, so that a play that was killed keeps nothing for longer than twice O(ttl) plus O(lock_delay).
  - Locks are bookkeeping, so the module never reports a change.
options:
  services:
    description:
      - Names of services.
      - With O(state=released), those whose locks O(session) may hold; without, all locks of the fleet are looked at.
    type: list
    elements: str
  fleet:
    description: The lock of the whole fleet, in place of services. For short work only.
    type: bool
  state:
    description: V(acquired) acquires by a new session, V(released) gives back what O(session) holds and ends it.
    type: str
    choices: [acquired, released]
    default: acquired
  session:
    description: The session to end. Releasing one that has ended already is not an error. An empty one is nothing to release.
    type: str
  holder:
    description: Who we are, for those who find the lock busy. The name of this host by default.
    type: str
  ttl:
    description: Seconds after which the session ends when nothing renews it. Longer than any gap between two tasks that renew it.
    type: int
    default: 60
  lock_delay:
    description: Seconds for which nobody gets a lock whose holder vanished. A released lock is free at once.
    type: int
    default: 15
  wait:
    description: Seconds to go on trying for locks that are busy; 0 tries once.
    type: float
    default: 0
  busy:
    description: Whether a busy lock is only listed in RV(busy), or makes the task fail, with nothing acquired.
    type: str
    choices: [skip, fail]
    default: skip
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
    details: Acquires nothing, RV(session) is null; says which locks are free and which are busy. A lock delay is not seen.
  diff_mode:
    support: none
    details: Locks are bookkeeping and never reported as a change.
  idempotent:
    support: partial
    details: Releasing is. Acquiring makes a new session each time.
"""

EXAMPLES = r"""
- name: Take the locks that are free
  microservices.autoscale.consul_lock:
    services: [shop, cart]
    holder: "{{ lookup('ansible.builtin.env', 'USER') }} by hand"
  register: locks
  run_once: true
  delegate_to: localhost

- name: Say who is busy with the others
  ansible.builtin.debug:
    msg: "{{ item.service }}: {{ item.message }}"
  loop: "{{ locks.busy }}"

- name: Change something
  microservices.autoscale.consul_service:
    session: "{{ locks.session }}"
    state: maintenance
    services:
      - {name: shop, id: shop-app1-20000}

- name: Give them back
  microservices.autoscale.consul_lock:
    state: released
    session: "{{ locks.session }}"
    services: "{{ locks.acquired }}"
"""

RETURN = r"""
session:
  description: The session that holds the locks, null when none was acquired.
  returned: when O(state=acquired)
  type: str
acquired:
  description: Names of the services whose locks are held now, or would be in check mode; C(fleet) for that of the fleet.
  returned: when O(state=acquired)
  type: list
  elements: str
busy:
  description: The locks that somebody else holds.
  returned: when O(state=acquired)
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service, or C(fleet).
      type: str
    holder:
      description: Who holds it, or held it until the lock delay began.
      type: str
    since:
      description: Time at which the holder acquired it, ISO 8601.
      type: str
    message:
      description: The same as a sentence.
      type: str
released:
  description: Whether the session was still there.
  returned: when O(state=released)
  type: bool
"""

import platform

from ..module_utils._domain import names
from ..module_utils._domain.errors import AutoscaleError
from ..module_utils._module.argspec import CONSUL, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations import locks
from ..module_utils._operations.lease import lock_key
from ..module_utils._operations.outcome import Outcome

SPEC = (
    ArgumentSpec(
        {
            "services": {"type": "list", "elements": "str"},
            "fleet": {"type": "bool"},
            "state": {"type": "str", "choices": ["acquired", "released"], "default": "acquired"},
            "session": {"type": "str"},
            "holder": {"type": "str"},
            "ttl": {"type": "int", "default": 60},
            "lock_delay": {"type": "int", "default": 15},
            "wait": {"type": "float", "default": 0},
            "busy": {"type": "str", "choices": ["skip", "fail"], "default": "skip"},
        },
        {
            "required_if": [("state", "released", ["session"]), ("state", "acquired", ["services", "fleet"], True)],
            "mutually_exclusive": [("services", "fleet")],
        },
    )
    + CONSUL
)


def operation(params, check_mode):
    consul = consul_from(params)
    keys = {lock_key(names.service_name(service)): service for service in params["services"] or []}
    if params["fleet"]:
        keys = {locks.FLEET_LOCK: "fleet"}
    if params["state"] == "released":
        session = params["session"]
        held = None if params["services"] is None and not params["fleet"] else list(keys)
        return Outcome(facts={"released": locks.release(consul, session, held) if session and not check_mode else False})
    if check_mode:
        found = locks.would_acquire(consul, keys)
    else:
        holder = params["holder"] or platform.node()
        found = locks.acquire(consul, keys, holder, ttl=params["ttl"], lock_delay=params["lock_delay"], wait=params["wait"])
    busy = [{"service": keys[lock.key], "holder": lock.holder, "since": lock.since, "message": lock.text()} for lock in found.busy]
    if busy and params["busy"] == "fail":
        if found.session:
            locks.release(consul, found.session, found.acquired)
        raise AutoscaleError("\n".join(lock["message"] for lock in busy), busy=busy)
    return Outcome(facts={"session": found.session, "acquired": [keys[key] for key in found.acquired], "busy": busy})


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
