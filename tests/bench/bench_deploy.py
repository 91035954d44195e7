#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deploying 30 instances on 3 hosts, against the same by a loop of tasks: a unit and a registration each.

The alternative unpacks the artifact once a host, then loops over its ten instances with systemd_service and with
community.general.consul_agent_service. It takes no lock, plans nothing, waits for no health and knows no balancer.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from community import community_general
from descriptions import shop_on_hosts
from hosts import HostsLab
from onhosts import remove
from plays import CLONE, play
from units import units

SERVICE, LISTEN = "bench-many", 8403
INSTANCES, PER_HOST = 30, 10
TURNS = 3

ALTERNATIVE = """\
- hosts: app
  gather_facts: false
  tasks:
    - name: Make the folder
      ansible.builtin.file: {path: /opt/bench, state: directory, mode: "0755"}
    - name: Unpack
      ansible.builtin.unarchive: {src: "{{ artifact }}", dest: /opt/bench, remote_src: true}
    - name: Write the template unit
      ansible.builtin.copy:
        dest: /etc/systemd/system/bench@.service
        mode: "0644"
        content: |
          [Service]
          User=shop
          ExecStart=/usr/bin/python3 /opt/bench/shop.py --address {{ ansible_host }} --port %i --instance %i --version 1
          Restart=always
    - name: Read the units
      ansible.builtin.systemd_service: {daemon_reload: true}
    - name: Start
      ansible.builtin.systemd_service: {name: "bench@{{ item }}", state: started}
      loop: "{{ range(24900, 24910) | list }}"
    - name: Register
      community.general.consul_agent_service:
        id: "bench-{{ inventory_hostname }}-{{ item }}"
        name: bench
        service_port: "{{ item }}"
        address: "{{ ansible_host }}"
      loop: "{{ range(24900, 24910) | list }}"
"""
UNDO = """\
- hosts: app
  gather_facts: false
  tasks:
    - ansible.builtin.shell: >-
        systemctl stop 'bench@*'; rm -rf /etc/systemd/system/bench@.service /opt/bench; systemctl daemon-reload;
        for port in $(seq 24900 24909); do consul services deregister -id=bench-{{ inventory_hostname }}-$port; done
"""


class Lab(HostsLab):
    """The hosts lab with a further collection."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "ANSIBLE_COLLECTIONS_PATH": f"{CLONE / 'build' / 'workspace'}:{community_general()}"}


def main() -> None:
    lab = Lab().up()
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    (folder / "alternative.yml").write_text(ALTERNATIVE)
    (folder / "undo.yml").write_text(UNDO)
    scale = {"min_replicas": INSTANCES, "max_replicas": INSTANCES}
    described = shop_on_hosts(lab, LISTEN, ports="24200-24299", scale=scale)
    artifact = lab.artifact()["url"].removeprefix("file://")
    print(f"deploying {INSTANCES} instances on 3 hosts; {TURNS} turns each", flush=True)
    ours: list[float] = []
    theirs: list[float] = []
    variables: dict[str, Any] = {"autoscale_services": {SERVICE: described}}
    try:
        for _turn in range(TURNS):
            ours.append(play(lab, folder, "deploy", **variables)[0])
            if len(units(lab, SERVICE)) != INSTANCES:
                raise SystemExit(f"{len(units(lab, SERVICE))} instances are there")
            remove(lab, folder, SERVICE)
            theirs.append(play(lab, folder, str(folder / "alternative.yml"), artifact=artifact)[0])
            play(lab, folder, str(folder / "undo.yml"))
            print(
                f"  deploy {ours[-1]:.1f} s, healthy and balanced; a loop of tasks {theirs[-1]:.1f} s, started and registered", flush=True
            )
    finally:
        shutil.rmtree(folder)
    print(
        f"median: deploy {statistics.median(ours):.1f} s, a loop of tasks {statistics.median(theirs):.1f} s: "
        f"{statistics.median(theirs) / statistics.median(ours):.1f} times as long"
    )


if __name__ == "__main__":
    main()
