# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_info
short_description: Check every prerequisite and connection of a machine
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Checks what the collection needs on the machine that it runs on, and says for each check what was found and how to mend it.
  - Changes nothing, except that O(scope=controller) creates a session in Consul and destroys it at once, to see that locks work.
  - Asks Consul which of the rights that such a machine needs the token lacks.
  - A check that fails never makes the task fail, look at RV(ok).
options:
  scope:
    description: What the machine is. Several may be given; a check that they share is made once.
    type: list
    elements: str
    choices: [controller, host, balancer]
    required: true
  consul_node:
    description: The name that the inventory gives to the Consul node of this machine. Not compared when empty.
    type: str
    default: ""
  services:
    description:
      - Names of the services whose instances this machine may run, for O(scope=host).
      - The token must have the right to register them. When empty, it must have it for any name.
    type: list
    elements: str
    default: []
  providers:
    description: What runs instances on the machine, for O(scope=host).
    type: list
    elements: str
    choices: [systemd, supervisor]
    default: [systemd]
  state_dir:
    description: Folder for artifacts and instances.
    type: path
    default: /var/lib/microservices-autoscale
  systemd_unit_dir:
    description: Folder in which systemd looks for units.
    type: path
    default: /etc/systemd/system
  supervisor_socket:
    description: Unix socket of the host's supervisord.
    type: path
    default: /run/supervisor.sock
  supervisor_conf_dir:
    description: Folder whose files supervisord includes.
    type: path
    default: /etc/supervisord.d
  balancer:
    description: The kind of balancer that O(scope=balancer) looks for.
    type: str
    choices: [haproxy, nginx]
    default: haproxy
  haproxy_socket:
    description: Socket of HAProxy's runtime API.
    type: path
    default: /run/haproxy/admin.sock
  haproxy_base_config:
    description: HAProxy's base configuration.
    type: path
    default: /etc/haproxy/haproxy.cfg
  haproxy_config_dir:
    description: Folder with one file per service, loaded after the base configuration.
    type: path
    default: /etc/haproxy/conf.d
  haproxy_binary:
    description: HAProxy's program, by name or path.
    type: str
    default: haproxy
  haproxy_pid_file:
    description: File with the number of HAProxy's master process.
    type: path
    default: /run/haproxy.pid
  nginx_base_config:
    description: Nginx's base configuration.
    type: path
    default: /etc/nginx/nginx.conf
  nginx_config_dir:
    description: Folder with one file per service, which the base configuration includes inside its C(http) block.
    type: path
    default: /etc/nginx/conf.d
  nginx_binary:
    description: Nginx's program, by name or path.
    type: str
    default: nginx
  nginx_pid_file:
    description: File with the number of Nginx's master process.
    type: path
    default: /run/nginx.pid
  nginx_access_log:
    description: File to which one line of JSON is written per request.
    type: path
    default: /var/log/nginx/autoscale.log
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.prometheus
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
    details:
      - It changes nothing anyway. The session of O(scope=controller) is made in check mode too.
  diff_mode:
    support: none
    details:
      - There are no differences.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Check the host and its supervisord
  microservices.autoscale.doctor_info:
    scope: [host]
    providers: [supervisor]
    consul_node: "{{ inventory_hostname }}"
  register: doctor

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ doctor.checks | rejectattr('ok') | map(attribute='mend') }}"
"""

RETURN = r"""
ok:
  description: Whether all checks are well.
  returned: always
  type: bool
  sample: true
checks:
  description: All checks, in order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: What is checked.
      type: str
    ok:
      description: Whether it is well.
      type: bool
    found:
      description: What was seen.
      type: str
    mend:
      description: What to do, empty when it is well.
      type: str
  sample:
    - {name: consul node, ok: true, found: app1, mend: ""}
"""

import dataclasses

from ..module_utils._module.argspec import CONSUL, PROMETHEUS, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.doctor import Setup, examine
from ..module_utils._operations.outcome import Outcome

SPEC = (
    ArgumentSpec(
        {
            "scope": {"type": "list", "elements": "str", "choices": ["controller", "host", "balancer"], "required": True},
            "consul_node": {"type": "str", "default": ""},
            "services": {"type": "list", "elements": "str", "default": []},
            "providers": {"type": "list", "elements": "str", "choices": ["systemd", "supervisor"], "default": ["systemd"]},
            "state_dir": {"type": "path", "default": "/var/lib/microservices-autoscale"},
            "systemd_unit_dir": {"type": "path", "default": "/etc/systemd/system"},
            "supervisor_socket": {"type": "path", "default": "/run/supervisor.sock"},
            "supervisor_conf_dir": {"type": "path", "default": "/etc/supervisord.d"},
            "balancer": {"type": "str", "choices": ["haproxy", "nginx"], "default": "haproxy"},
            "haproxy_socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "haproxy_base_config": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "haproxy_config_dir": {"type": "path", "default": "/etc/haproxy/conf.d"},
            "haproxy_binary": {"type": "str", "default": "haproxy"},
            "haproxy_pid_file": {"type": "path", "default": "/run/haproxy.pid"},
            "nginx_base_config": {"type": "path", "default": "/etc/nginx/nginx.conf"},
            "nginx_config_dir": {"type": "path", "default": "/etc/nginx/conf.d"},
            "nginx_binary": {"type": "str", "default": "nginx"},
            "nginx_pid_file": {"type": "path", "default": "/run/nginx.pid"},
            "nginx_access_log": {"type": "path", "default": "/var/log/nginx/autoscale.log"},
        }
    )
    + CONSUL
    + PROMETHEUS
)


def operation(params, check_mode):
    options = dict(params, prometheus_url=params["prometheus_url"] or "", connect=lambda: consul_from(params))
    names = [field.name for field in dataclasses.fields(Setup)]
    findings = examine(Setup(**{name: options[name] for name in names}), params["scope"])
    return Outcome(facts={"ok": all(finding.ok for finding in findings), "checks": [finding.as_dict() for finding in findings]})


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
