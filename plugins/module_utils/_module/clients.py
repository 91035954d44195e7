# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Clients from module parameters; the options are those of the argument specs of the same names."""

from __future__ import annotations

from typing import Any, Mapping

from .._clients.consul import Consul


def consul_from(params: Mapping[str, Any]) -> Consul:
    """The Consul client that the options of the spec CONSUL describe."""
    return Consul(
        params["consul_url"],
        token=params["consul_token"],
        ca_path=params["consul_ca_path"],
        timeout=params["consul_timeout"],
        version=params["consul_version"],
    )
