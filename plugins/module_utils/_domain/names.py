# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Allow-lists for text that reaches a configuration file, a command or a URL.

Catalog text is untrusted: it is checked where it is used, with fullmatch, and refused, never "cleaned".
"""

from __future__ import annotations

import ipaddress
import re

from .errors import AutoscaleError, quoted

# A service's name becomes a Consul service, a DNS label, a file name and part of a balancer's section name.
SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")
# HAProxy's own limit for names, which is also safe in paths and Consul IDs.
INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
SESSION_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")
# A service that others registered; narrower than what Consul takes, which is anything.
CATALOG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def _matching(pattern: re.Pattern[str], what: str, text: object) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise AutoscaleError(f"{what} {quoted(text)} is not allowed: must match {pattern.pattern}")
    return text


def service_name(text: object) -> str:
    """Return the service name unchanged, or raise AutoscaleError."""
    return _matching(SERVICE_NAME, "service name", text)


def catalog_service(text: object) -> str:
    """Return the name of any service in the catalog, also one of others, unchanged, or raise AutoscaleError."""
    return _matching(CATALOG_NAME, "service name", text)


def prepared_query(text: object) -> str:
    """Return the name of a prepared query unchanged, or raise AutoscaleError."""
    return _matching(CATALOG_NAME, "name of a prepared query", text)


def instance_id(text: object) -> str:
    """Return the instance id unchanged, or raise AutoscaleError."""
    return _matching(INSTANCE_ID, "instance id", text)


def version(text: object) -> str:
    """Return the version unchanged, or raise AutoscaleError."""
    return _matching(VERSION, "version", text)


def session_id(text: object) -> str:
    """Return the ID of a Consul session unchanged, or raise AutoscaleError."""
    return _matching(SESSION_ID, "session", text)


def host_name(text: object) -> str:
    """Return the host or node name unchanged, or raise AutoscaleError."""
    return _matching(HOST_NAME, "host name", text)


def ip_address(text: object) -> str:
    """Return the canonical text of an IPv4 or IPv6 address, or raise AutoscaleError.

    One with a zone (fe80::1%eth0) is refused: Python takes any text at all for a zone, and it means nothing on another host.
    """
    try:
        return str(ipaddress.ip_address(text)) if isinstance(text, str) and "%" not in text else _not_an_address(text)
    except ValueError:
        return _not_an_address(text)


def _not_an_address(text: object) -> str:
    raise AutoscaleError(f"address {quoted(text)} is not allowed: must be an IPv4 or IPv6 address")


def port(value: object) -> int:
    """Return a TCP port from 1 to 65535, or raise AutoscaleError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise AutoscaleError(f"port {value!r} is not allowed: must be a whole number from 1 to 65535")
    return value


def weight(value: object) -> int:
    """Return a balancer weight from 0 to 256 (HAProxy's range), or raise AutoscaleError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 256:
        raise AutoscaleError(f"weight {value!r} is not allowed: must be a whole number from 0 to 256")
    return value


def endpoint(address: str, port_number: int) -> str:
    """Return ADDRESS:PORT, IPv6 addresses in brackets; both parts are checked."""
    host = ip_address(address)
    return f"[{host}]:{port(port_number)}" if ":" in host else f"{host}:{port(port_number)}"


# Everything that Consul KV holds of ours is below it.
KV_ROOT = "autoscale"

# Begins the names of our sections in a balancer's configuration.
SECTION_PREFIX = "autoscale_"


def section_name(service: str) -> str:
    """The name of a service's section in a balancer; the service's name is checked."""
    return SECTION_PREFIX + service_name(service)
