# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which right of a token each request to Consul needs, so that a refusal can name the one that is missing."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

UNKNOWN_TOKEN = "ACL not found"
DENIED = "Permission denied"


class Right(NamedTuple):
    """One right, in the words of Consul's rules.

    Args:
        resource: key, service, node, session, agent …
        access: read, write, or write-prefix for a key and everything below it.
        segment: the name; empty stands for every name.
        what: said in place of the segment, where the request does not tell the name that Consul looks at.
    """

    resource: str
    access: str
    segment: str = ""
    what: str = ""

    def __str__(self) -> str:
        access = "write" if self.access == "write-prefix" else self.access
        if self.resource in _NAMELESS:
            return f"{self.resource}:{access}"
        return f"{self.resource}:{access} on {self.what or _quoted(self.segment)}"

    def asked(self) -> dict[str, str]:
        """As Consul is asked whether a token has it."""
        return {"Resource": self.resource, "Segment": self.segment, "Access": self.access}


_NAMELESS = ("acl", "operator", "keyring")


def _quoted(segment: str) -> str:
    return f'"{segment}"' if segment else 'every name ("")'


def key(name: str, access: str = "read") -> Right:
    return Right("key", access, name)


def service(name: str = "", access: str = "read") -> Right:
    return Right("service", access, name)


def node(name: str = "", access: str = "read") -> Right:
    return Right("node", access, name)


def session(name: str = "", access: str = "write") -> Right:
    return Right("session", access, name)


def query(name: str, access: str = "read") -> Right:
    return Right("query", access, name)


def agent(name: str = "", access: str = "read") -> Right:
    return Right("agent", access, name)


_OWN_NODE = "the agent's node"
Rule = Callable[[str, Mapping[str, Any]], Sequence[Right]]


def _of_registration(_rest: str, body: Mapping[str, Any]) -> Sequence[Right]:
    return (service(str(body.get("Name") or ""), "write"),)


def _of_catalog_entry(_rest: str, body: Mapping[str, Any]) -> Sequence[Right]:
    identity = body.get("ServiceID") or (body.get("Service") or {}).get("ID")
    if identity:
        return (Right("service", "write", what=f"the service of the instance {_quoted(str(identity))}"),)
    return (node(str(body.get("Node") or ""), "write"),)


def _of_instance(rest: str, _body: Mapping[str, Any]) -> Sequence[Right]:
    return (Right("service", "write", what=f"the service of the instance {_quoted(rest)}"),)


def _of_check(rest: str, _body: Mapping[str, Any]) -> Sequence[Right]:
    return (Right("service", "write", what=f"the service of the check {_quoted(rest)}"),)


def _named(make: Callable[..., Right], access: str = "read", *further: Right) -> Rule:
    return lambda rest, _body: (make(rest, access), *further)


def _fixed(*rights: Right) -> Rule:
    return lambda _rest, _body: rights


_ON_OWN_SESSION = Right("session", "write", what=_OWN_NODE)
_ON_A_SESSION = Right("session", "write", what="the node of the session")
_OF_AGENT = Right("agent", "read", what=_OWN_NODE)

# Method, path and what it needs, by the documentation of Consul's HTTP API; the first that fits. What is in brackets is the name.
_TABLE: tuple[tuple[str, str, Rule], ...] = (
    ("GET", r"/v1/kv/(.*)", _named(key)),
    ("DELETE", r"/v1/kv/(.*/)", _named(key, "write-prefix")),
    ("PUT|DELETE", r"/v1/kv/(.*)", _named(key, "write")),
    ("PUT", r"/v1/session/create()", _fixed(_ON_OWN_SESSION)),
    ("PUT", r"/v1/session/(?:renew|destroy)/(.*)", _fixed(_ON_A_SESSION)),
    ("GET", r"/v1/session/node/(.*)", _named(session)),
    ("GET", r"/v1/session/(.*)", _fixed(Right("session", "read", what="the node of the session"))),
    ("GET", r"/v1/agent/(?:self|metrics)()", _fixed(_OF_AGENT)),
    ("GET", r"/v1/agent/members()", _fixed(node())),
    ("GET", r"/v1/agent/(?:services|checks)()", _fixed(service())),
    ("GET", r"/v1/agent/(?:service|health/service/id)/(.*)", lambda rest, body: (_of_instance(rest, body)[0]._replace(access="read"),)),
    ("GET", r"/v1/agent/health/service/name/(.*)", _named(service)),
    ("PUT", r"/v1/agent/service/register()", _of_registration),
    ("PUT", r"/v1/agent/service/(?:deregister|maintenance)/(.*)", _of_instance),
    ("PUT", r"/v1/agent/maintenance()", _fixed(Right("node", "write", what=_OWN_NODE))),
    ("PUT", r"/v1/agent/check/(?:deregister|pass|warn|fail|update)/(.*)", _of_check),
    ("PUT", r"/v1/agent/.*()", _fixed(Right("agent", "write", what=_OWN_NODE))),
    ("PUT", r"/v1/catalog/(?:de)?register()", _of_catalog_entry),
    ("GET", r"/v1/catalog/nodes()", _fixed(node())),
    ("GET", r"/v1/catalog/services()", _fixed(service())),
    ("GET", r"/v1/catalog/(?:node|node-services)/(.*)", _named(node)),
    ("GET", r"/v1/catalog/(?:service|connect)/(.*)", _named(service, "read", node())),
    ("GET", r"/v1/health/node/(.*)", _named(node)),
    ("GET", r"/v1/health/(?:service|connect|ingress|checks)/(.*)", _named(service, "read", node())),
    ("GET", r"/v1/health/state/.*()", _fixed(node(), service())),
    ("GET", r"/v1/coordinate/.*()", _fixed(node())),
    ("GET", r"/v1/query/.*/execute()", _fixed(service(), node())),
    ("GET", r"/v1/query/(.*)/explain", _named(query)),
    ("GET", r"/v1/query(?:/(.*))?", _named(query)),
    ("POST", r"/v1/query()", lambda _rest, body: (query(str(body.get("Name") or ""), "write"),)),
    ("PUT|DELETE", r"/v1/query/(.*)", _fixed(Right("query", "write", what="the query's name"))),
    ("GET", r"/v1/acl/.*()", _fixed(Right("acl", "read"))),
    ("PUT|DELETE", r"/v1/acl/.*()", _fixed(Right("acl", "write"))),
    ("GET", r"/v1/operator/.*()", _fixed(Right("operator", "read"))),
)


def rights_of(method: str, path: str, body: Any = None) -> tuple[Right, ...]:
    """The rights that a request needs; empty where the table does not know it.

    Args:
        path: without the quotation of its parts.
        body: the JSON that is sent along.
    """
    for methods, pattern, rule in _TABLE:
        # Compiled when a request is refused, and not by every run.
        found = re.fullmatch(pattern, path) if method in methods.split("|") else None
        if found:
            return tuple(rule(found.group(1) or "", body if isinstance(body, Mapping) else {}))
    return ()


def lacks(rights: Iterable[Right]) -> str:
    """In words, that a token lacks some rights."""
    return f"the token lacks {' and '.join(str(right) for right in dict.fromkeys(rights))}"


def refusal(asked: str, status: int, answer: str, sent: Any = None) -> str:
    """What to know about an answer that refused a token; empty for any other answer.

    Args:
        asked: method and path, without the quotation of its parts, such as "GET /v1/kv/autoscale/".
        status: 403, which is about the token; 401 says that the agent has no ACLs at all.
        sent: the JSON that was sent along.
    """
    if status == 401 and "ACL support disabled" in answer:
        return "this agent has ACLs turned off"
    if status != 403:
        return ""
    if UNKNOWN_TOKEN in answer:
        return "Consul does not know this token: look at consul_token; it is wrong, was deleted, or is too new for this server"
    method, _space, path = asked.partition(" ")
    rights = rights_of(method, path, sent)
    return f"{lacks(rights) if rights else 'the token lacks a right that this needs'}: look at consul_token and its policies"


def of_operation(operation: Mapping[str, Any]) -> Right:
    """The right that one KV operation of a transaction needs."""
    verb = str(operation.get("Verb", ""))
    reads = verb.startswith(("get", "check"))
    access = "read" if reads else "write-prefix" if verb == "delete-tree" else "write"
    return key(str(operation.get("Key", "")), access)
