# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which right of Consul's ACLs a request needs; Consul before 1.15 says "Permission denied" and no more."""

from __future__ import annotations

import re

# How Consul says that it has no such token; in the first seconds of an agent also of a valid one.
TOKEN_UNKNOWN = "ACL not found"

# The rules are those of Consul's HTTP API reference, "ACL Required".
_RIGHTS = tuple(
    (re.compile(pattern), right)
    for pattern, right in (
        (r"GET /v1/kv/(.*)", 'key:read (and key:list for a prefix, where Consul asks for it) on "{}"'),
        (r"(?:PUT|DELETE) /v1/kv/(.*)", 'key:write on "{}" (and session:write, where it takes or gives back a lock)'),
        (r"PUT /v1/session/.*()", "session:write on the node of this agent"),
        (r"GET /v1/session/.*()", "session:read on the node of the session"),
        (r"PUT /v1/agent/service/register()", "service:write on the services that are registered"),
        (r"PUT /v1/agent/service/[a-z]+/(.*)", 'service:write on the service of the instance "{}"'),
        (r"GET /v1/agent/service/(.*)", 'service:read on the service of the instance "{}"'),
        (r"PUT /v1/agent/check/.*()", "service:write on the service of the check, or node:write for a check of the node"),
        (
            r"PUT /v1/agent/(?:maintenance|force-leave).*()",
            "node:write on the node of this agent, or operator:write to force a node to leave",
        ),
        (r"GET /v1/agent/(?:self|metrics|host).*()", "agent:read on the node of this agent"),
        (r"GET /v1/agent/members()", "node:read on the nodes"),
        (r"PUT /v1/catalog/.*()", "node:write on the node, and service:write on the service"),
        (r"GET /v1/(?:catalog|health)/.*()", "node:read on the nodes and service:read on the services"),
        (r"PUT /v1/txn()", "key:write on every key of the transaction, and session:read on the node of the session"),
        (r"GET /v1/query/([^/]*).*", 'query:read on the prepared query "{}"'),
        (r"(?:POST|PUT|DELETE) /v1/query.*()", "query:write on the prepared query"),
    )
)


def right_needed(asked: str) -> str:
    """The right that a request needs, in words; empty where it is not known.

    Args:
        asked: method and path, such as "GET /v1/kv/autoscale/".
    """
    for pattern, right in _RIGHTS:
        found = pattern.fullmatch(asked)
        if found:
            return right.format(found.group(1))
    return ""


def explain_refusal(asked: str, status: int, body: str) -> str:
    """What to look at after Consul refused a request; empty where it is no matter of ACLs."""
    if status == 401 and "support disabled" in body:
        return "ACLs are off there"
    if status not in (401, 403):
        return ""
    if TOKEN_UNKNOWN in body:
        return "Consul does not know this token: look at consul_token"
    right = right_needed(asked)
    return f"this needs {right}: look at consul_token and its policies" if right else "look at consul_token and its policies"
