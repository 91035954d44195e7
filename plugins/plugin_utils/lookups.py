# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The edge of lookups: clients from options, and our errors as Ansible's."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Mapping, Protocol

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils._clients.consul import Consul
from ..module_utils._clients.prometheus import Prometheus
from ..module_utils._domain.errors import AutoscaleError

_VARIABLES = tuple(
    f"autoscale_{noun}_{option}" for noun in ("consul", "prometheus") for option in ("url", "token", "ca_path", "timeout", "version")
)


class Options(Protocol):
    """A plugin that has options."""

    def get_option(self, option: str) -> Any: ...


def variables_for(plugin: LookupBase, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variables that our options may come from: a lookup is given them as written, with their templates."""
    given = variables or {}
    return {name: plugin._templar.template(given[name]) for name in _VARIABLES if name in given}


def consul_of(plugin: Options) -> Consul:
    """The Consul client that a plugin's options describe."""
    url = plugin.get_option("consul_url")
    return Consul(
        # Consul's own variable CONSUL_HTTP_ADDR may leave the scheme out.
        url if "://" in url else f"http://{url}",
        token=plugin.get_option("consul_token"),
        ca_path=plugin.get_option("consul_ca_path"),
        timeout=plugin.get_option("consul_timeout"),
        version=plugin.get_option("consul_version"),
    )


def prometheus_of(plugin: Options) -> Prometheus:
    """The Prometheus client that a plugin's options describe."""
    return Prometheus(
        plugin.get_option("prometheus_url"),
        token=plugin.get_option("prometheus_token"),
        ca_path=plugin.get_option("prometheus_ca_path"),
        timeout=plugin.get_option("prometheus_timeout"),
    )


@contextlib.contextmanager
def lookup_errors() -> Iterator[None]:
    """Turn our errors into Ansible's; the messages hold no secrets."""
    try:
        yield
    except AutoscaleError as error:
        raise AnsibleLookupError(error.message) from error
