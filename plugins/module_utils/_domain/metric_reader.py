# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads one entry of `scale.metrics`."""

from __future__ import annotations

from .policy import DEFAULT_MAX_AGE_SECONDS, HOLD, Fallback, Metric, OnMissing, Source, Step, Target
from .reader import Reader

# What a ready-made kind measures against; a free kind takes any of the two that need no request per instance.
_FREE = ("average_value", "value")
_TARGETS = {
    "requests": ("average_value",),
    "response_time": ("value",),
    "cpu": ("utilization", "average_value"),
    "prometheus": _FREE,
    "json": _FREE,
    "formula": _FREE,
    "fixed": (),
}
_SHORT_TARGETS = {"requests": "average_value", "response_time": "value", "cpu": "utilization"}
# Kinds that HAProxy's own statistics know without Prometheus.
_BALANCER_KINDS = ("requests", "response_time")
# Kinds that say something also when there is no instance.
PER_SERVICE = ("requests", "prometheus", "json", "formula")
_FALLBACKS = ("hold", "last_known", "floor", "current_if_higher")
NAME = {"pattern": r"[A-Za-z0-9_.-]{1,63}", "hint": "must be letters, digits, '_', '.' or '-'"}
_SOURCE_FIELDS = ("type", "source", "query", "url", "expression", "window_seconds", "per_instance")


def read_metric(item: Reader, has_cpu_request: bool) -> Metric:
    """Read a metric.

    Args:
        has_cpu_request: see read_policy.
    """
    item = _long_form(item)
    fields = item.fields(
        *_SOURCE_FIELDS,
        "name",
        "target",
        "steps",
        "agree",
        "pass_through",
        "replicas",
        "group",
        "max_age",
        "on_missing",
        "formula",
        "readings",
    )
    kind = fields["type"].choice(tuple(_TARGETS))
    if fields["type"].value != kind:
        # What else is right depends on the type.
        return Metric("fixed", name=item.path, replicas=1)
    source = _read_source(kind, fields)
    target, steps, pass_through = _read_rule(item, kind, fields)
    if target is not None and target.type == "utilization" and not has_cpu_request:
        fields["target"].fields("type", "value")["type"].refuse("needs run.resources.cpu, which the utilization is a per cent of")
    _require_owner(fields, kind, {"replicas": "fixed", "formula": "formula", "readings": "formula"})
    if fields["per_instance"].flag(False) and (kind != "prometheus" or target is None or target.type == "value"):
        fields["per_instance"].refuse("belongs to metrics of type prometheus with an average_value")
    if fields["agree"].value not in (None, 1) and not steps:
        fields["agree"].refuse("belongs to metrics with steps")
    return Metric(
        type=kind,
        name=fields["name"].text(kind, **NAME),
        target=target,
        source=source.source,
        query=source.query,
        url=source.url,
        expression=source.expression,
        window_seconds=source.window_seconds,
        steps=steps,
        agree=fields["agree"].integer(1, at_least=1, at_most=20),
        pass_through=pass_through,
        replicas=fields["replicas"].integer(at_least=0) if kind == "fixed" else None,
        group=fields["group"].optional_text(),
        per_instance=source.per_instance,
        max_age=fields["max_age"].duration(DEFAULT_MAX_AGE_SECONDS, at_least=1),
        on_missing=_read_on_missing(fields["on_missing"]),
        formula=fields["formula"].text() if kind == "formula" else None,
        readings=_read_readings(fields["readings"]) if kind == "formula" else {},
    )


def _long_form(item: Reader) -> Reader:
    """`requests: 50` is short for the long form with the kind's usual target type."""
    value = item.value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, target),) = value.items()
        if kind in _SHORT_TARGETS and not isinstance(target, dict):
            return item.replaced({"type": kind, "target": {"type": _SHORT_TARGETS[kind], "value": target}})
    return item


def _read_source(kind: str, fields: dict[str, Reader]) -> Source:
    sources = ("prometheus", "haproxy") if kind in _BALANCER_KINDS else ("prometheus",)
    for name, owner in (("query", "prometheus"), ("url", "json"), ("expression", "json")):
        if not fields[name].given and kind == owner:
            fields[name].refuse("must be text")
    _require_owner(fields, kind, {"query": "prometheus", "url": "json", "expression": "json"})
    return Source(
        type=kind,
        source=fields["source"].choice(sources, "prometheus"),
        query=fields["query"].optional_text(),
        url=fields["url"].optional_text(pattern=r"https?://\S+", hint="must be an http or https URL"),
        expression=fields["expression"].optional_text(),
        window_seconds=fields["window_seconds"].duration(0.0, at_most=3600),
        per_instance=fields["per_instance"].flag(False),
    )


def _require_owner(fields: dict[str, Reader], kind: str, owners: dict[str, str]) -> None:
    for name, owner in owners.items():
        # The long form of other kinds has an empty value here.
        if fields[name].given and fields[name].value != {} and kind != owner:
            fields[name].refuse(f"belongs to metrics of type {owner}")


def _read_rule(item: Reader, kind: str, fields: dict[str, Reader]) -> tuple[Target | None, tuple[Step, ...], bool]:
    """The one rule by which a metric proposes: a target, steps, or its own value."""
    steps = tuple(_read_step(step) for step in fields["steps"].items())
    pass_through = fields["pass_through"].flag(False)
    given = [name for name, there in (("target", fields["target"].given), ("steps", steps), ("pass_through", pass_through)) if there]
    if kind == "fixed":
        if given:
            fields[given[0]].refuse("does not go with type fixed, whose count is replicas")
        return None, (), False
    if len(given) > 1:
        item.refuse(f"must have one of target, steps and pass_through, got {' and '.join(given)}; the value is")
    if kind == "cpu" and given and given[0] != "target":
        fields[given[0]].refuse("does not go with type cpu, which has a value for each instance")
    if given and given[0] != "target":
        return None, steps, pass_through
    types = _TARGETS[kind]
    target = fields["target"].fields("type", "value")
    return (
        Target(
            type=target["type"].choice(types, types[0] if len(types) == 1 else None),
            value=target["value"].number(above=0),
        ),
        (),
        False,
    )


def _read_step(item: Reader) -> Step:
    fields = item.fields("at_least", "below", "change", "percent", "replicas")
    lower, upper = (fields[name].number(at_least=float("-inf")) if fields[name].given else None for name in ("at_least", "below"))
    if lower is None and upper is None:
        item.refuse("must have a band: at_least, below or both")
    elif lower is not None and upper is not None and upper <= lower:
        fields["below"].refuse(f"must be greater than at_least, which is {lower:g}")
    if sum(1 for name in ("change", "percent", "replicas") if fields[name].given) != 1:
        item.refuse("must have exactly one of change, percent and replicas")
    return Step(
        at_least=lower,
        below=upper,
        change=fields["change"].integer(at_least=-100_000) if fields["change"].given else None,
        percent=fields["percent"].integer(at_least=-100) if fields["percent"].given else None,
        replicas=fields["replicas"].integer(at_least=0) if fields["replicas"].given else None,
    )


def _read_readings(given: Reader) -> dict[str, Source]:
    """The named readings of a formula; one number each."""
    readings = {}
    for name, item in given.entries().items():
        fields = item.fields(*_SOURCE_FIELDS)
        if not name.isidentifier():
            item.refuse("must have a name of letters, digits and '_'")
        if fields["per_instance"].flag(False):
            fields["per_instance"].refuse("does not go with a formula, which is over numbers of the whole service")
        readings[name] = _read_source(fields["type"].choice(("requests", "response_time", "prometheus", "json")), fields)
    if not readings:
        given.refuse("must be a mapping of names to sources")
    return readings


def _read_on_missing(given: Reader) -> OnMissing:
    """One fallback, or one for each direction."""
    value = given.value
    if isinstance(value, dict) and value.keys() & {"scale_up", "scale_down"}:
        fields = given.fields("scale_up", "scale_down")
        return OnMissing(_read_fallback(fields["scale_up"]), _read_fallback(fields["scale_down"]))
    both = _read_fallback(given)
    return OnMissing(both, both)


def _read_fallback(given: Reader) -> Fallback:
    """`hold`, or a short form such as {last_known: 5m} or {floor: 4}, or the long one."""
    value = given.value
    if not given.given or value == "hold":
        return HOLD
    if isinstance(value, dict) and len(value) == 1:
        ((kind, amount),) = value.items()
        if kind in _FALLBACKS:
            given = given.replaced({"kind": kind, "seconds" if kind == "last_known" else "replicas": amount})
    elif not isinstance(value, dict) or not value:
        given.refuse("must be hold, {last_known: SECONDS}, {floor: REPLICAS} or {current_if_higher: REPLICAS}")
        return HOLD
    fields = given.fields("kind", "seconds", "replicas")
    kind = fields["kind"].choice(_FALLBACKS)
    if kind == "last_known":
        return Fallback(kind, seconds=fields["seconds"].duration(at_least=1))
    return Fallback(kind, replicas=fields["replicas"].integer(at_least=0)) if kind != "hold" else HOLD
