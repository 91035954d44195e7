# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON Schemas of offline decisions, the module's examples and those of docs/scaling.md say what the code does."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import jsonschema
import pytest
import yaml
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import keep
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import formulas
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.decisions import offline
from hypothesis import given, settings
from hypothesis import strategies as st

CLONE = Path(__file__).resolve().parents[2]
MODULE = "microservices.autoscale.scaling_decision"


def schema(name: str) -> dict[str, Any]:
    return json.loads((CLONE / "docs" / f"scaling_{name}.schema.json").read_text())


GIVEN = jsonschema.Draft202012Validator(schema("observation"))
ANSWER = jsonschema.Draft202012Validator(schema("decision"))


def decided(task: dict[str, Any]) -> dict[str, Any]:
    """The module's answer to its options, both checked against their schemas."""
    GIVEN.validate(task)
    answer = json.loads(json.dumps(offline(task["policies"], task["observations"]).facts, allow_nan=False))
    ANSWER.validate(answer)
    return answer


def block(name: str) -> Any:
    """One of the module's blocks of documentation."""
    tree = ast.parse((CLONE / "plugins" / "modules" / "scaling_decision.py").read_text())
    assignments = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    (text,) = (ast.literal_eval(node.value) for node in assignments if node.targets[0].id == name)
    return yaml.safe_load(text)


def test_the_schemas_are_schemas() -> None:
    for validator in (GIVEN, ANSWER):
        jsonschema.Draft202012Validator.check_schema(validator.schema)


def test_the_modules_examples_do_what_they_say() -> None:
    tasks = block("EXAMPLES")
    for task, check in zip(tasks[::2], tasks[1::2], strict=True):
        holds = jinja2.Environment().compile_expression(check["ansible.builtin.assert"]["that"])
        assert holds(**{task["register"]: decided(task[MODULE])}) is True, check["name"]


def test_the_sample_of_the_return_values_is_the_first_examples_answer() -> None:
    answer = decided(block("EXAMPLES")[0][MODULE])
    returned = block("RETURN")["decisions"]
    assert returned["sample"] == answer["decisions"]
    assert list(returned["contains"]) == list(answer["decisions"]["shop"])


# Where the readers take a mapping, by the place in the schema: what is given for it is put into options that are right otherwise.
def with_policy(**scale: Any) -> dict[str, Any]:
    return {
        "policies": {"shop": scale},
        "observations": {"shop": {"current_replicas": 1, "readings": [{}] * len(scale.get("metrics", ()))}},
    }


def with_seen(**seen: Any) -> dict[str, Any]:
    return {"policies": {"shop": {}}, "observations": {"shop": {"current_replicas": 1, **seen}}}


WRONG = {"?": 0}
FORMULA = {"type": "formula", "formula": "a", "target": {"type": "value", "value": 1}, "readings": {"a": WRONG}}
SHAPES = {
    "policy": with_policy(**WRONG),
    "scaling_rules": with_policy(behavior={"scale_up": WRONG}),
    "scaling_rules/properties/policies/items": with_policy(behavior={"scale_up": {"policies": [WRONG]}}),
    "long_metric": with_policy(metrics=[{"type": "requests", **WRONG}]),
    "long_metric/properties/target": with_policy(metrics=[{"type": "requests", "target": WRONG}]),
    "source": with_policy(metrics=[FORMULA]),
    "step": with_policy(metrics=[{"type": "requests", "steps": [WRONG]}]),
    "fallback/anyOf/4": with_policy(metrics=[{"type": "requests", "on_missing": WRONG}]),
    "policy/properties/behavior": with_policy(behavior=WRONG),
    "policy/properties/flap_guard": with_policy(flap_guard=WRONG),
    "schedule": with_policy(schedules=[WRONG]),
    "observation": with_seen(**WRONG),
    "instance": with_seen(instances=[WRONG]),
    "reading": {
        "policies": {"shop": {"metrics": [{"requests": 1}]}},
        "observations": {"shop": {"current_replicas": 1, "readings": [WRONG]}},
    },
    "history": with_seen(history=WRONG),
    "history/properties/recommendations/items": with_seen(history={"recommendations": [WRONG]}),
    "history/properties/events/items": with_seen(history={"events": [WRONG]}),
    "history/properties/failing/additionalProperties": with_seen(history={"failing": {"a": WRONG}}),
    "override": with_seen(override=WRONG),
    "active_schedule": with_seen(schedules=[WRONG]),
}


@pytest.mark.parametrize("place", SHAPES)
def test_the_schema_has_every_key_that_the_readers_take(place: str) -> None:
    with pytest.raises(InvalidDescription) as caught:
        offline(**dict(zip(("policies", "observed"), SHAPES[place].values(), strict=True)))
    (line,) = (line for line in caught.value.errors if ".?: is not known" in line)
    found: Any = GIVEN.schema["$defs"]
    for step in place.split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert set(re.search(r"allowed here: ([^?]*?)(, got|$)", line)[1].split(", ")) == found["properties"].keys()
    assert found["additionalProperties"] is False


ONE = {"current_replicas": 1, "readings": [{"value": 1}]}


@pytest.mark.parametrize(
    ("scale", "seen"),
    [
        ({"metrics": [{"requests": 0}]}, ONE),
        ({"metrics": [{"requests": 1}], "pause": "yes"}, ONE),
        ({"metrics": [{"requests": 1}], "behavior": {"scale_up": {"policies": []}}}, ONE),
        ({"metrics": [{"type": "requests", "steps": [{"below": 1}]}]}, ONE),
        ({"metrics": [{"type": "requests", "target": {"value": 1}, "on_missing": {"floor": -1}}]}, ONE),
        ({"metrics": [{"requests": 1}]}, {**ONE, "current_replicas": -1}),
        ({"metrics": [{"requests": 1}]}, {**ONE, "readings": [{"value": 1, "error": "x"}]}),
        ({"metrics": [{"requests": 1}]}, {**ONE, "instances": [{"id": "a", "state": "up"}]}),
        ({"metrics": [{"requests": 1}]}, {**ONE, "history": {"events": [{"age_seconds": "soon", "change": 1}]}}),
    ],
)
def test_what_the_module_refuses_does_not_fit_the_schema(scale: dict[str, Any], seen: dict[str, Any]) -> None:
    assert not GIVEN.is_valid({"policies": {"shop": scale}, "observations": {"shop": seen}})
    with pytest.raises(InvalidDescription):
        offline({"shop": scale}, {"shop": seen})


@pytest.mark.parametrize(
    ("changes", "of"),
    [
        ({"desired_replicas": None}, "decisions/shop"),
        ({"kind": "more"}, "decisions/shop"),
        ({"new": 1}, "decisions/shop"),
        ({"replicas": -1}, "decisions/shop/proposals/0"),
        ({"reason": "BecauseOfThat"}, "decisions/shop/conditions/0"),
    ],
)
def test_another_answer_does_not_fit_the_schema(changes: dict[str, Any], of: str) -> None:
    answer: Any = decided(block("EXAMPLES")[0][MODULE])
    part = answer
    for step in of.split("/"):
        part = part[int(step)] if isinstance(part, list) else part[step]
    part.update(changes)
    assert not ANSWER.is_valid(answer)


# Random policies and observations

counts = st.integers(0, 30)
durations = st.sampled_from([0, 15, 59.5, "1m", "5m", 400])
numbers = st.one_of(st.floats(0, 500), st.integers(0, 50), st.just(-1))
pauses = st.sampled_from(["none", "none", "none", "scale_up", "scale_down", "both"])
fallbacks = st.sampled_from(["hold", {"last_known": "10m"}, {"floor": 3}, {"current_if_higher": 4}])
on_missing = st.one_of(fallbacks, st.fixed_dictionaries({}, optional={"scale_up": fallbacks, "scale_down": fallbacks}).filter(bool))
IDS = [f"shop-{number}" for number in range(6)]
more = {"on_missing": on_missing, "max_age": st.just("1m"), "group": st.sampled_from(["front", "back"])}


def metric(kind: str, rule: dict[str, Any], **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just(kind), **{name: st.just(value) for name, value in {**rule, **fields}.items()}}, optional=more
    )


STEPS = [{"below": 5, "change": -1}, {"at_least": 50, "below": 100, "percent": 50}, {"at_least": 100, "replicas": 9}]
metrics = st.one_of(
    metric("cpu", {"target": {"type": "utilization", "value": 60}}),
    metric("requests", {"target": {"value": 50}}),
    metric("response_time", {"target": {"value": 0.25}}),
    metric("prometheus", {"target": {"type": "average_value", "value": 7}}, query="q", per_instance=True),
    metric("prometheus", {"steps": STEPS, "agree": 2}, query="q"),
    metric("json", {"pass_through": True}, url="http://127.0.0.1/", expression="n"),
    metric("fixed", {"replicas": 3}),
)
of_service = st.fixed_dictionaries({"value": numbers}, optional={"age_seconds": durations})
by_instance = st.fixed_dictionaries(
    {"values": st.dictionaries(st.sampled_from([*IDS, "other"]), st.floats(0, 20))}, optional={"age_seconds": durations}
)
several = st.fixed_dictionaries({"samples": st.lists(numbers, min_size=1, max_size=3)})
readings = st.one_of(st.just({}), st.fixed_dictionaries({"error": st.just("no answer")}), several, of_service, by_instance)
rules = st.fixed_dictionaries(
    {},
    optional={
        "stabilization_window_seconds": st.sampled_from([0, 60, "5m"]),
        "policies": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["pods", "percent"]), "value": st.integers(1, 200), "period_seconds": st.sampled_from([15, "1m"])}
            ),
            min_size=1,
            max_size=2,
        ),
        "select_policy": st.sampled_from(["max", "min", "disabled"]),
        "tolerance": st.sampled_from([0, 0.05, 0.5]),
    },
)
instances = st.fixed_dictionaries(
    {"state": st.sampled_from(["ready", "ready", "ready", "missing", "starting", "unready", "draining", "failed"])},
    optional={
        "request": st.sampled_from([0.5, 1]),
        **dict.fromkeys(["started_seconds_ago", "ready_changed_seconds_ago", "sample_age_seconds", "sample_window_seconds"], durations),
    },
)
histories = st.fixed_dictionaries(
    {},
    optional={
        "recommendations": st.lists(st.fixed_dictionaries({"age_seconds": durations, "replicas": counts}), max_size=4),
        "events": st.lists(
            st.fixed_dictionaries({"age_seconds": st.one_of(durations, st.just(-60)), "change": st.integers(-5, 5)}), max_size=4
        ),
        "known": st.just({"m0": 4}),
        "failing": st.just({"m0": {"age_seconds": 30, "count": 2}}),
        "scaled_to_zero": st.booleans(),
    },
)
overrides = st.fixed_dictionaries(
    {"expires_in_seconds": durations}, optional={"min_replicas": counts, "max_replicas": counts, "pause": pauses}
)
active = st.fixed_dictionaries({"name": st.just("night")}, optional={"min_replicas": counts, "replicas": counts, "pause": pauses})


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, Any]:
    named = [{"name": f"m{index}", **one} for index, one in enumerate(draw(st.lists(metrics, max_size=4)))]
    low, room = draw(st.integers(1, 6)), draw(st.integers(2, 20))
    scale = {"min_replicas": low, "max_replicas": low + room, "metrics": named, "groups": {"front": "any", "back": "all"}}
    scale |= draw(st.fixed_dictionaries({}, optional={"pause": pauses, "flap_guard": st.just({}), "tolerance": st.just(0.2)}))
    scale["behavior"] = draw(st.fixed_dictionaries({}, optional={"scale_up": rules, "scale_down": rules}))
    # Mostly within the bounds and read well: all else is decided early.
    current = draw(st.one_of(st.just(low + 1), st.integers(low, low + room), counts))
    fitting = [draw(st.one_of(by_instance if one["type"] == "cpu" or "per_instance" in one else of_service, readings)) for one in named]
    seen = {"current_replicas": current, "readings": fitting}
    seen["instances"] = [{"id": name, **draw(instances)} for name in IDS[: draw(st.integers(0, len(IDS)))]]
    optional = {"history": histories, "override": overrides, "schedules": st.lists(active, max_size=1), "status_replicas": counts}
    seen |= draw(st.one_of(st.fixed_dictionaries({"history": histories}), st.fixed_dictionaries({}, optional=optional)))
    return {"policies": {"shop": scale}, "observations": {"shop": seen}}


@settings(max_examples=300, deadline=None)
@given(tasks())
def test_whatever_is_given_and_answered_fits_the_schemas(task: dict[str, Any]) -> None:
    decided(task)


def test_what_a_deploy_decides_fits_the_schema() -> None:
    policy = read_policy(Reader({"min_replicas": 2}, "scale"), has_cpu_request=False)
    for made in (keep("shop", policy, Observation(None)), keep("shop", policy, Observation(3))):
        ANSWER.validate({"decisions": {"shop": made.to_dict()}, "problems": {}})


# docs/scaling.md


def fenced() -> list[tuple[str, str]]:
    """The examples of the page: language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (CLONE / "docs" / "scaling.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [text for language, text in fenced() if language == "yaml" and "observations:" not in text])
def test_the_policies_of_the_page_are_policies(text: str) -> None:
    example = yaml.safe_load(text)
    scale = Reader(example.get("scale", example), "scale")
    policy = read_policy(scale, has_cpu_request=True)
    scale.finish()
    for metric in policy.metrics:
        if metric.formula is not None:
            formulas.check(metric.formula, metric.readings)
    GIVEN.validate({"policies": {"shop": scale.value}, "observations": {}})


def test_the_decision_of_the_page_is_the_one_that_is_made() -> None:
    *_others, (_yaml, asked), (_json, told) = [one for one in fenced() if "observations:" in one[1] or one[0] == "json"]
    (task,) = yaml.safe_load(asked)
    assert json.loads(told) == decided(task[MODULE])["decisions"]["shop"]
