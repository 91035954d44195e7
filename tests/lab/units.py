# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd shows of a service's instances on the hosts lab."""

from __future__ import annotations

from hosts import APP_HOSTS, HostsLab


def units(lab: HostsLab, service: str) -> dict[str, str]:
    """The state of each systemd unit of a service by instance."""
    found: dict[str, str] = {}
    for host in APP_HOSTS:
        pattern = f"microservices-autoscale@{service}-*.service"
        lines = lab.run(host, "systemctl", "list-units", "--all", "--plain", "--no-legend", pattern).splitlines()
        found |= {line.split()[0].partition("@")[2].removesuffix(".service"): line.split()[2] for line in lines}
    return found


def properties(lab: HostsLab, host: str, instance: str) -> dict[str, str]:
    """What systemd shows of an instance's unit."""
    shown = lab.run(host, "systemctl", "show", f"microservices-autoscale@{instance}.service")
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
