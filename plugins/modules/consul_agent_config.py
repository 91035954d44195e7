#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: consul_agent_config
short_description: Write the configuration file of this host's Consul agent
version_added: 0.2.0
description:
  - Renders the settings as JSON, in the words of the installed version, has C(consul validate) read a staged copy, and swaps it in.
    What Consul refuses never gets there.
  - Nothing is restarted or reloaded. RV(apply) tells what the running agent needs, by a note of what it was started with.
  - The role P(microservices.autoscale.consul#role) calls it, restarts or reloads, and writes the note.
author:
  - microservices.autoscale authors (@microservices-autoscale)
options:
  path:
    description: The file.
    type: path
    required: true
  settings:
    description:
      - The variables of the role P(microservices.autoscale.consul#role), by their names without C(consul_), which describes them.
      - What is unknown, wrong or not known to the installed version is refused with its path.
    type: dict
    required: true
  encrypt_key:
    description: Key of gossip. Empty for none.
    type: str
    default: ""
  acl_tokens:
    description: ACL tokens, C(agent), C(default), C(initial_management) and C(replication). None of them ever is in a diff or a result.
    type: dict
    default: {}
  binary:
    description: Consul's program.
    type: path
    default: /usr/bin/consul
  owner:
    description: Whose file it is. Only the owner and the group O(group) may read it.
    type: str
    default: consul
  group:
    description: Group that may read it.
    type: str
    default: consul
  record:
    description: The note of what the running agent was started with, as RV(record) was before.
    type: path
    required: true
  started_with:
    description: What else an agent is started with, by name, such as the text of its unit. A change asks for a restart.
    type: dict
    default: {}
extends_documentation_fragment:
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Keys and tokens are masked.
  idempotent:
    support: full
seealso:
  - module: microservices.autoscale.consul_cluster_info
"""

EXAMPLES = r"""
- name: An agent that joins three servers
  microservices.autoscale.consul_agent_config:
    path: /etc/consul.d/agent.json
    record: /etc/consul.d/agent.applied
    settings:
      data_dir: /var/lib/consul
      retry_join: [192.0.2.5, 192.0.2.6, 192.0.2.7]
      log_level: warn
  register: agent

- name: Say what it needs
  ansible.builtin.debug:
    msg: "{{ agent.apply }} for {{ agent.apply_for | join(', ') }}"
"""

RETURN = r"""
version:
  description: The version of the program.
  type: str
  returned: success
  sample: 1.8.7
apply:
  description: What the running agent needs, V(none), V(reload) or V(restart).
  type: str
  returned: success
apply_for:
  description: Paths in the configuration, and other things, for which it needs that.
  type: list
  elements: str
  returned: success
  sample: [log_level]
record:
  description: The note to write once the agent runs with it. It has digests in it and no values.
  type: str
  returned: success
"""

from pathlib import Path

from ..module_utils._clients.consul_program import AgentFile, ConsulProgram
from ..module_utils._module.argspec import ArgumentSpec
from ..module_utils._module.run import run
from ..module_utils._operations.consul_agent import configure

SPEC = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "settings": {"type": "dict", "required": True},
        "encrypt_key": {"type": "str", "default": "", "no_log": True},
        "acl_tokens": {"type": "dict", "default": {}, "no_log": True},
        "binary": {"type": "path", "default": "/usr/bin/consul"},
        "owner": {"type": "str", "default": "consul"},
        "group": {"type": "str", "default": "consul"},
        "record": {"type": "path", "required": True},
        "started_with": {"type": "dict", "default": {}},
    }
)


def _operation(params, check_mode):
    return configure(
        ConsulProgram(params["binary"]),
        AgentFile(params["path"], params["owner"], params["group"]),
        settings=params["settings"],
        secrets={"encrypt_key": params["encrypt_key"], "acl_tokens": params["acl_tokens"]},
        started_with=params["started_with"],
        record=Path(params["record"]),
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
