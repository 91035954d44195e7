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
from ..module_utils._clients.consul_connection import connect
from ..module_utils._clients.prometheus import Prometheus
from ..module_utils._domain.errors import AutoscaleError
from .connection_options import connection_options

_CONSUL = ("url", "token", "token_file", "ca_path", "client_cert", "client_key", "timeout", "version")
_PROMETHEUS = ("url", "token", "ca_path", "timeout")
_VARIABLES = tuple(
    f"autoscale_{noun}_{option}" for noun, options in (("consul", _CONSUL), ("prometheus", _PROMETHEUS)) for option in options
)
_OPTIONS = "autoscale_consul_options"


class Options(Protocol):
    """A plugin that has options."""

    def get_option(self, option: str) -> Any: ...


def variables_for(plugin: LookupBase, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variables that our options may come from: a lookup is given them as written, with their templates."""
    given = variables or {}
    # What the roles take for all modules in one dictionary.
    options = connection_options(plugin._templar.template(given.get(_OPTIONS, {})))
    own = {name: plugin._templar.template(given[name]) for name in _VARIABLES if name in given}
    return {**{f"autoscale_{option}": value for option, value in options.items() if f"autoscale_{option}" in _VARIABLES}, **own}


def consul_of(plugin: Options) -> Consul:
    """The Consul client that a plugin's options describe."""
    return connect(plugin.get_option)


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
