# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a version of Consul knows. An agent refuses a whole registration for one field that it does not know."""

from __future__ import annotations

from typing import Iterable, Mapping, NamedTuple

from .consul_version import Version
from .errors import AutoscaleError


class Feature(NamedTuple):
    """A field of a check that not every version of Consul knows.

    Args:
        option: how the user names it.
        since: the releases that brought it; more than one where it came to older lines, too. The last one is the newest line.
    """

    option: str
    since: tuple[Version, ...]


# From the release notes; that 1.8.7 answers 400 "unknown field" to each was tried. What is not here is known since 1.8.
CHECK_FIELDS: Mapping[str, Feature] = {
    "H2PING": Feature("h2ping", ((1, 10, 0),)),
    "TLSServerName": Feature("tls_server_name", ((1, 10, 0),)),
    "FailuresBeforeWarning": Feature("failures_before_warning", ((1, 11, 0),)),
    "H2PingUseTLS": Feature("h2ping_use_tls", ((1, 11, 0),)),
    "DisableRedirects": Feature("disable_redirects", ((1, 9, 17), (1, 10, 10), (1, 11, 5))),
    "UDP": Feature("udp", ((1, 13, 0),)),
    "OSService": Feature("os_service", ((1, 14, 0),)),
    "TCPUseTLS": Feature("tcp_use_tls", ((1, 16, 2), (1, 17, 0))),
}


def gated(fields: Iterable[str]) -> tuple[str, ...]:
    """Those fields that not every version knows; only for them is it worth asking for the version."""
    return tuple(sorted(CHECK_FIELDS.keys() & set(fields)))


def require_known(fields: Iterable[str], version: Version) -> None:
    """Raise AutoscaleError naming every field that the version does not know, and the least version that does."""
    unknown = [CHECK_FIELDS[field] for field in gated(fields) if not _knows(version, CHECK_FIELDS[field].since)]
    if unknown:
        told = "; ".join(f"{feature.option} needs Consul {_releases(feature.since)}" for feature in unknown)
        raise AutoscaleError(f"check: the agent's Consul {_text(version)} does not know all that is declared: {told}. Nothing was sent")


def _knows(version: Version, since: tuple[Version, ...]) -> bool:
    line = [release for release in since if release[:2] == version[:2]]
    return version >= line[0] if line else version > since[-1]


def _releases(since: tuple[Version, ...]) -> str:
    *older, newest = [_text(release) for release in since]
    backported = f" ({', '.join(older)} in older lines)" if older else ""
    return f"{newest} or later{backported}"


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
