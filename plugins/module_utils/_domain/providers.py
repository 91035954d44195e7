# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What runs instances on a host, and what of a description each provider can carry out."""

from __future__ import annotations

SYSTEMD = "systemd"
SUPERVISOR = "supervisor"
PROVIDERS = (SYSTEMD, SUPERVISOR)
DEFAULT_PROVIDER = SYSTEMD


def beyond(provider: str, user: str | None, pre_start: str | None, memory: int | None) -> dict[str, str]:
    """What a provider cannot carry out of a `run`: the reasons, by key."""
    refused = {}
    if provider == SUPERVISOR and memory is not None:
        refused["resources.memory"] = f"needs provider {SYSTEMD}: supervisord cannot limit memory"
    if provider == SYSTEMD and pre_start is not None and user is None:
        refused["pre_start"] = f"needs run.user: without it {SYSTEMD} makes up a user at each start, who is not there before it"
    return refused
