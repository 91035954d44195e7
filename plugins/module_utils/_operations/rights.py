# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Tells an answer that is empty from one that a missing right has emptied.

Consul leaves what a token may not read out of an answer, and answers 200; before 1.11 it gives no hint that it did. So whoever
draws a conclusion from something that is not there asks here first. What is there needs no question.
"""

from __future__ import annotations

from typing import Iterable

from .._clients.consul import Consul
from .._clients.http_client import HttpError
from .._domain.consul_rights import Right, lacks
from .._domain.errors import AutoscaleError

# Every datacenter has it: its servers register it themselves.
_ALWAYS_THERE = "consul"


class MissingRight(AutoscaleError):
    """The token lacks a right without which nothing can be concluded from what Consul showed."""


def missing(consul: Consul, rights: Iterable[Right]) -> tuple[Right, ...]:
    """Those of some rights that the token lacks; none where ACLs are off.

    Where Consul cannot be asked, rights to keys are tried out, and the others are taken for missing when something cannot be seen
    that is in every catalog: an agent with ACLs turned off may belong to servers that have them.
    """
    asked = tuple(dict.fromkeys(rights))
    if not asked:
        return ()
    allowed = consul.may(asked)
    if allowed is not None:
        return tuple(right for right, ok in zip(asked, allowed) if not ok)
    keys = tuple(right for right in asked if right.resource == "key")
    others = tuple(right for right in asked if right.resource != "key")
    return tuple(right for right in keys if not _readable(consul, right.segment)) + (() if _shows_all(consul, others) else others)


def require(consul: Consul, rights: Iterable[Right], seen: str) -> None:
    """Raise MissingRight unless the token has these rights.

    Args:
        seen: what was not there, for the error.
    """
    lacking = missing(consul, rights)
    if lacking:
        raise MissingRight(f"Consul at {consul.url} {seen}, but that says nothing: {lacks(lacking)}")


def own_node(consul: Consul) -> str:
    """The name of the node whose agent answers; empty, which stands for every node, where the token may not ask the agent for it."""
    try:
        return str(consul.agent_self()["Config"]["NodeName"])
    except HttpError as error:
        if error.status != 403:
            raise
        return ""


def _readable(consul: Consul, key: str) -> bool:
    """Of a single key Consul does say that it may not be read, whether there is one or not."""
    try:
        consul.kv_get(key)
    except HttpError as error:
        if error.status != 403:
            raise
        return False
    return True


def _shows_all(consul: Consul, others: tuple[Right, ...]) -> bool:
    return not others or (bool(consul.health_service(_ALWAYS_THERE)[0]) and not consul.filtered)
