# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Run instances of services on this host
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Starts instances of services on the host that it runs on, each a unit of systemd or a program of a supervisord, registers them
    with their check at the Consul agent of the host and waits until they are healthy; or takes them away again.
  - All instances of a call go through each step together, so that several cost one health wait. Every step looks at what is there
    first, so a call after one that was killed goes on where that one ended.
  - An instance that is started already with the same content is left alone. One with other content under the same O(instances)
    C(id) is replaced in place.
  - An instance that does not become healthy is undone, that is stopped, removed and deregistered. Its log is kept as
    C(<state_dir>/failed/<id>.log), and the error holds its last lines.
options:
  instances:
    description:
      - The instances, in the shape that a plan's steps have.
      - C(service), C(id), C(address), C(port) are always needed; O(state=started) needs C(version), C(run), C(check), C(tags), C(meta)
        and C(weight) as well, and takes C(healthy_deadline) and C(min_healthy_time) in seconds (300 and 0 by default).
      - C(run) has C(command), and may have C(provider) (V(systemd), the default, or V(supervisor)), C(artifact) (C(url), a path or a file,
        http or https URL, and C(checksum), C(sha256:) and 64 digits), C(user), C(environment), C(pre_start), C(resources) (C(cpu) in cores
        and C(memory) in bytes) and C(stop_grace) in seconds.
      - C(pre_start) is a command that runs once after a version was unpacked. When it is killed it runs again, so it has to be repeatable.
      - C(command), C(pre_start) and the values of C(environment) may use {address}, {port}, {path}, {version} and {instance}. Commands
        are split into words before that and never pass through a shell.
      - "A value of C(environment) may be C({secret: name}), see O(secrets)."
    type: list
    elements: dict
    required: true
  state:
    description:
      - V(started) makes them run, registered and healthy.
      - V(absent) waits until no connection to the instance is in use, stops it, removes its program and files, and deregisters it.
        Taking it out of the balancers comes before and is not done here. The provider that started it is asked, whatever C(run) says.
      - A connection is not in use when it was opened and nothing was asked, or when the last data on it were an answer, and it was quiet
        for 2 seconds since; 8 seconds where it cannot be told whether an answer or a request was last. So a request in flight is
        waited for, however long it takes, and an idle keep-alive connection is not.
    type: str
    choices: [started, absent]
    default: started
  secrets:
    description:
      - Values by name for the environment. They reach a file of mode 0600 and the environment of the process, nothing else.
    type: dict
    default: {}
  state_dir:
    description: Folder for artifacts, instances and the logs of failed ones.
    type: path
    default: /var/lib/microservices-autoscale
  systemd_unit_dir:
    description:
      - Folder in which systemd looks for units. The template C(microservices-autoscale@.service) is kept there, and for each instance
        a drop-in.
    type: path
    default: /etc/systemd/system
  supervisor_socket:
    description: Unix socket of the host's supervisord, which has to run as the user that this task runs as.
    type: path
    default: /run/supervisor.sock
  supervisor_conf_dir:
    description: Folder whose C(*.ini) files supervisord includes; one file per instance is kept there.
    type: path
    default: /etc/supervisord.d
  allow_root:
    description:
      - Allow instances that run as root. Otherwise a C(user) who is root is refused, and with the provider V(supervisor) also one
        without a C(user) where the task runs as root.
      - With the provider V(systemd) an instance without a C(user) runs as one that systemd makes up.
    type: bool
    default: false
  keep_versions:
    description: How many unpacked versions of a service to keep. Versions in use by an instance are always kept, and count.
    type: int
    default: 2
  drain_deadline:
    description: Seconds that O(state=absent) waits until no connection is in use.
    type: float
    default: 60
  at_deadline:
    description:
      - What O(state=absent) does when connections are still in use at O(drain_deadline), V(fail) and leave the instance running, or
        V(force) and stop it with a warning.
extends_documentation_fragment:
  - microservices.autoscale.batch
  - microservices.autoscale.deadline
  - microservices.autoscale.consul
  - microservices.autoscale.lease
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Secrets are shown by their names only.
  idempotent:
    support: full
notes:
  - O(consul_url) is the agent of the host, which owns the registrations.
  - With O(session), the lock of each instance's service is checked and renewed before each change and while waiting. When it is lost,
    nothing further is changed, and nothing is undone.
  - Old unpacked versions are removed as bookkeeping and not reported as a change.
  - The provider V(systemd) needs systemd 247 or later and a task that runs as root. It reloads systemd once for all instances of a
    call. Instances come back when the host starts again.
  - A command runs in {path}; without C(artifact) in C(/) under systemd, and in the instance's folder under supervisord.
  - Works on Linux. C(ss) of iproute2 tells which connections are in use; where it is missing or tells no timers, every established
    connection counts, as C(/proc/net/tcp) shows it, and there is a warning.
seealso:
  - module: microservices.autoscale.consul_service
"""

EXAMPLES = r"""
- name: Start two instances of a shop with one health wait
  microservices.autoscale.instance:
    secrets:
      shop_db_password: "{{ vaulted_shop_db_password }}"
    instances:
      - service: shop
        id: shop-app1-20000
        host: app1
        address: 192.0.2.11
        port: 20000
        version: 1.4.2
        run:
          provider: systemd
          artifact:
            url: https://artifacts.example.com/shop-1.4.2.tar.gz
            checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          command: "{path}/bin/shop --listen {address}:{port}"
          user: shop
          resources: {cpu: 0.5, memory: 256M}
          environment:
            SHOP_REGION: eu
            SHOP_DB_PASSWORD: {secret: shop_db_password}
        check: {http: /healthz, tcp: false, interval: 2, timeout: 1}
        tags: [web]
        meta: {autoscale-service: shop, autoscale-version: 1.4.2}
        weight: 100
        healthy_deadline: 60
        min_healthy_time: 5
      - service: shop
        id: shop-app1-20001
        host: app1
        address: 192.0.2.11
        port: 20001
        version: 1.4.2
        run:
          provider: systemd
          artifact:
            url: https://artifacts.example.com/shop-1.4.2.tar.gz
            checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          command: "{path}/bin/shop --listen {address}:{port}"
          user: shop
          resources: {cpu: 0.5, memory: 256M}
          environment:
            SHOP_REGION: eu
            SHOP_DB_PASSWORD: {secret: shop_db_password}
        check: {http: /healthz, tcp: false, interval: 2, timeout: 1}
        tags: [web]
        meta: {autoscale-service: shop, autoscale-version: 1.4.2}
        weight: 100
        healthy_deadline: 60
        min_healthy_time: 5

- name: Take one away when nothing is in flight any more
  microservices.autoscale.instance:
    state: absent
    drain_deadline: 120
    instances:
      - {service: shop, id: shop-app1-20000, address: 192.0.2.11, port: 20000}
"""

RETURN = r"""
failures:
  description: Instances for which something failed.
  returned: always
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    instance:
      description: Identity of the instance.
      type: str
    error:
      description: What was tried and what came back; for an unhealthy instance its last check, its last output and where its log is.
      type: str
  sample: []
"""

from ..module_utils._clients.supervisor import Supervisor
from ..module_utils._clients.systemd import Systemd
from ..module_utils._domain.instance import Paths
from ..module_utils._module.argspec import BATCH, CONSUL, DEADLINE, LEASE, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.instance_folder import InstanceFolders
from ..module_utils._operations.instance_host import Host
from ..module_utils._operations.instances import absent, started
from ..module_utils._operations.lease import Lease
from ..module_utils._operations.supervisor import SupervisorProvider
from ..module_utils._operations.systemd import SystemdProvider

SPEC = (
    ArgumentSpec(
        {
            "instances": {"type": "list", "elements": "dict", "required": True},
            "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "state_dir": {"type": "path", "default": "/var/lib/microservices-autoscale"},
            "systemd_unit_dir": {"type": "path", "default": "/etc/systemd/system"},
            "supervisor_socket": {"type": "path", "default": "/run/supervisor.sock"},
            "supervisor_conf_dir": {"type": "path", "default": "/etc/supervisord.d"},
            "allow_root": {"type": "bool", "default": False},
            "keep_versions": {"type": "int", "default": 2},
            "drain_deadline": {"type": "float", "default": 60},
        }
    )
    + BATCH
    + DEADLINE
    + CONSUL
    + LEASE
)


def operation(params, check_mode):
    consul = consul_from(params)
    paths = Paths(params["state_dir"])
    allow_root = params["allow_root"]
    host = Host(
        providers=(
            SystemdProvider(Systemd(), paths, params["systemd_unit_dir"], allow_root),
            SupervisorProvider(Supervisor(params["supervisor_socket"]), paths, params["supervisor_conf_dir"], allow_root),
        ),
        folders=InstanceFolders(paths),
        consul=consul,
        lease=Lease(consul, params["session"]),
        secrets=params["secrets"],
        keep_versions=params["keep_versions"],
        drain_deadline=params["drain_deadline"],
        force=params["at_deadline"] == "force",
    )
    step = started if params["state"] == "started" else absent
    return step(host, params["instances"], check_mode).outcome(params["on_error"])


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
