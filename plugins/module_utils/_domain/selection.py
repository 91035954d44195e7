# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's filter expressions (its documentation, "Filtering"), read and applied by ourselves.

A server refuses what it does not know with 500, ignores a filter on some endpoints, has none on others, and 1.8 takes a meta key
that is absent for one that matches. So an expression is checked before it is sent, and what comes back is filtered once more.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Mapping, NamedTuple

from .errors import AutoscaleError

_MAX_LENGTH = 2000
_MAX_DEPTH = 50

_QUOTED = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<text>{_QUOTED})
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<word>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*|\[\s*(?:{_QUOTED})\s*\])*)
    | (?P<sign>==|!=|\(|\))
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(rf"\.?(?P<name>[A-Za-z][A-Za-z0-9_]*)|\[\s*(?P<key>{_QUOTED})\s*\]")

# The kinds of values, and the comparisons that each allows.
_TEXT, _NUMBER, _FLAG, _LIST, _MAP, _EACH = "a text", "a number", "true or false", "a list", "a map", "a list of checks"
_ALLOWED = {
    _TEXT: ("==", "in", "matches"),
    _NUMBER: ("==",),
    _FLAG: ("==",),
    _LIST: ("in", "empty"),
    _MAP: ("in", "empty"),
    _EACH: ("empty",),
}


class _Map(NamedTuple):
    """A map with free keys; what its values are."""

    values: Any


class _Each(NamedTuple):
    """A list of objects, one of which has to match; their fields."""

    fields: Mapping[str, Any]


# What /v1/health/service shows of an instance.
_FIELDS: Mapping[str, Any] = {
    "Node": {
        **dict.fromkeys(("Address", "Datacenter", "ID", "Node", "PeerName"), _TEXT),
        "Meta": _Map(_TEXT),
        "TaggedAddresses": _Map(_TEXT),
    },
    "Service": {
        **dict.fromkeys(("Address", "ID", "Kind", "PeerName", "Service"), _TEXT),
        "Connect": {"Native": _FLAG},
        "EnableTagOverride": _FLAG,
        "Meta": _Map(_TEXT),
        "Port": _NUMBER,
        "TaggedAddresses": _Map({"Address": _TEXT, "Port": _NUMBER}),
        "Tags": _LIST,
        "Weights": {"Passing": _NUMBER, "Warning": _NUMBER},
    },
    "Checks": _Each(
        {
            **dict.fromkeys(("CheckID", "Name", "Node", "Notes", "Output", "PeerName", "ServiceID", "ServiceName", "Status"), _TEXT),
            "ServiceTags": _LIST,
        }
    ),
}

_Test = Callable[[Mapping[str, Any]], bool]


class Selection(NamedTuple):
    """A filter that was read.

    Args:
        text: as the user wrote it, which is what a server gets.
        matches: whether an entry of /v1/health/service, {Node, Service, Checks}, is wanted.
        for_servers: whether servers of all versions may be asked; 1.8 answers `matches` wrongly where a key is absent.
    """

    text: str
    matches: _Test
    for_servers: bool


def read_selection(text: str, path: str) -> Selection:
    """Read a filter expression.

    Args:
        path: how the user names this place.

    Raises:
        AutoscaleError: the expression is wrong; says where and what is allowed.
    """
    if len(text) > _MAX_LENGTH:
        raise AutoscaleError(f"{path}: must be at most {_MAX_LENGTH} characters long, got {len(text)}")
    parser = _Parser(text, path)
    test = parser.alternatives(0)
    if parser.kind != "end":
        parser.refuse("and, or, or the end")
    return Selection(text, test, not parser.uses_patterns)


class _Parser:
    """One token ahead; each method reads one rule of the grammar and returns its test."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._at = self._next = 0
        self.kind, self.token = "", ""
        self.uses_patterns = False
        self._advance()

    def refuse(self, allowed: str, at: int | None = None) -> None:
        position = (self._at if at is None else at) + 1
        raise AutoscaleError(f"{self._path}: {self._text!r} is not a filter of Consul's: at character {position}, allowed is {allowed}")

    def alternatives(self, depth: int) -> _Test:
        tests = [self._requirements(depth)]
        while self._took("or"):
            tests.append(self._requirements(depth))
        return tests[0] if len(tests) == 1 else lambda entry: any(test(entry) for test in tests)

    def _requirements(self, depth: int) -> _Test:
        tests = [self._negation(depth)]
        while self._took("and"):
            tests.append(self._negation(depth))
        return tests[0] if len(tests) == 1 else lambda entry: all(test(entry) for test in tests)

    def _negation(self, depth: int) -> _Test:
        if depth > _MAX_DEPTH:
            self.refuse(f"nesting of at most {_MAX_DEPTH}")
        if self._took("not"):
            test = self._negation(depth + 1)
            return lambda entry: not test(entry)
        if self._took("("):
            test = self.alternatives(depth + 1)
            if not self._took(")"):
                self.refuse("a closing bracket")
            return test
        return self._comparison()

    def _comparison(self) -> _Test:
        """`selector operator value`, `selector is empty`, or `value in selector`."""
        at, kind, left = self._at, self.kind, self.token
        if kind not in ("word", "text", "number"):
            self.refuse('a selector such as Service.Meta.zone, or a value such as "x"')
        self._advance()
        wanted = True
        if self._took("is"):
            wanted = not self._took("not")
            if not self._took("empty"):
                self.refuse("empty")
            return self._test(left, at, "empty", "", wanted)
        if self._took("=="):
            operator = "=="
        elif self._took("!="):
            operator, wanted = "==", False
        else:
            wanted = not self._took("not")
            operator = next((word for word in ("in", "contains", "matches") if self._took(word)), "")
            if not operator:
                self.refuse("==, !=, in, contains, matches, is empty, each but the first two also with not")
        if operator == "in":
            at, selector = self._at, self.token
            if self.kind != "word":
                self.refuse("a selector such as Service.Tags")
            self._advance()
            return self._test(selector, at, "in", _value(kind, left, self._path), wanted)
        if kind != "word":
            self.refuse("in or not in after a value")
        if self.kind not in ("word", "text", "number"):
            self.refuse('a value such as "x"')
        value = _value(self.kind, self.token, self._path)
        self._advance()
        return self._test(left, at, "in" if operator == "contains" else operator, value, wanted)

    def _test(self, selector: str, at: int, operator: str, value: str, wanted: bool) -> _Test:
        steps, kind = self._resolved(selector, at)
        if operator not in _ALLOWED[kind]:
            told = {"==": "== and !=", "in": "in and contains", "empty": "is empty", "matches": "matches"}
            self.refuse(f"{', '.join(told[name] for name in _ALLOWED[kind])} for {selector}, which is {kind}", at)
        self.uses_patterns = self.uses_patterns or operator == "matches"
        compare = self._compare(kind, operator, value, at)
        return lambda entry: _any(entry, _FIELDS, steps, compare, wanted)

    def _compare(self, kind: str, operator: str, value: str, at: int) -> Callable[[Any], bool]:
        if operator == "empty":
            return lambda found: not found
        if operator == "in":
            return lambda found: value in (() if found is None else found)
        if operator == "matches":
            try:
                pattern = re.compile(value)
            except re.error as error:
                raise AutoscaleError(f"{self._path}: {value!r} is not a regular expression: {error}") from None
            return lambda found: pattern.search(found) is not None
        if kind == _NUMBER:
            if not re.fullmatch("-?[0-9]{1,18}", value):
                self.refuse(f"a whole number and not {value!r}", at)
            return lambda found: bool(found == int(value))
        if kind == _FLAG:
            if value not in ("true", "false"):
                self.refuse(f"true or false and not {value!r}", at)
            return lambda found: bool(found) == (value == "true")
        return lambda found: bool(found == value)

    def _resolved(self, selector: str, at: int) -> tuple[tuple[str, ...], str]:
        """The steps of a selector, and the kind of what it leads to."""
        steps: list[str] = []
        schema: Any = _FIELDS
        for step in _STEP.finditer(selector):
            name = step["name"] or _value("text", step["key"], self._path)
            schema = schema.fields if isinstance(schema, _Each) else schema
            if isinstance(schema, _Map):
                schema = schema.values
            elif isinstance(schema, Mapping) and step["name"] and name in schema:
                schema = schema[name]
            else:
                known = f"one of {', '.join(sorted(schema))}" if isinstance(schema, Mapping) else "nothing more"
                self.refuse(f"{known} after {'.'.join(steps) or 'the beginning of a selector'}, and not {name!r}", at)
            steps.append(name)
        kind = _MAP if isinstance(schema, _Map) else _EACH if isinstance(schema, _Each) else schema
        if isinstance(kind, Mapping):
            self.refuse(f"one of {', '.join(sorted(kind))} after {selector}", at)
        return tuple(steps), str(kind)

    def _took(self, token: str) -> bool:
        if self.token != token or self.kind not in ("word", "sign"):
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._next)
        if found is None or found.lastgroup is None:
            self._at = len(self._text) - len(self._text[self._next :].lstrip())
            self.refuse("a selector, an operator, a value or a bracket")
            return
        self.kind, self.token = found.lastgroup, found[found.lastgroup]
        self._at, self._next = found.start(found.lastgroup), found.end()


def _value(kind: str, token: str, path: str) -> str:
    if kind != "text":
        return token
    if token.startswith("`"):
        return token[1:-1]
    try:
        return str(json.loads(token))
    except ValueError:
        raise AutoscaleError(f"{path}: {token} has an escape that is not known here: put it between backticks") from None


def _any(value: Any, schema: Any, steps: tuple[str, ...], compare: Callable[[Any], bool], wanted: bool) -> bool:
    """Whether one of the values to which the steps lead compares as wanted; a field that is null is empty, a key may be absent."""
    if not steps:
        return compare({_TEXT: "", _NUMBER: 0}.get(schema if isinstance(schema, str) else "") if value is None else value) == wanted
    if isinstance(schema, _Each):
        return any(_any(item, schema.fields, steps, compare, wanted) for item in value or ())
    name, rest = steps[0], steps[1:]
    if isinstance(schema, _Map):
        # What is not there equals nothing, holds nothing and matches nothing.
        return _any(value[name], schema.values, rest, compare, wanted) if name in (value or {}) else not wanted
    return _any((value or {}).get(name), schema[name], rest, compare, wanted)
