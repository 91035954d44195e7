# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader, parse_duration
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0.0),
        (30, 30.0),
        (0.25, 0.25),
        ("30", 30.0),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        (True, None),
        (None, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ("9" * 400, None),
        ("", None),
        ("s", None),
        ("-5s", None),
        ("5 s", None),
        ("5w", None),
        ("1h30m", None),
        ("10s\n", None),
        ("\u0663s", None),
        ([], None),
    ],
)
def test_parse_duration(text, seconds):
    assert parse_duration(text) == seconds


def told(value, read):
    """The errors that one reading notes."""
    errors = []
    read(Reader(value, "a.b", errors))
    return errors


@pytest.mark.parametrize(
    ("value", "read", "error"),
    [
        (None, lambda r: r.text(), "a.b: must be text, but it is missing"),
        ("", lambda r: r.text(), "a.b: must be text, got ''"),
        (7, lambda r: r.text("x"), "a.b: must be text, got 7"),
        ("a\n", lambda r: r.text(pattern="[a-z]+", hint="must be letters"), "a.b: must be letters, got 'a\\n'"),
        (7, lambda r: r.optional_text(), "a.b: must be text, got 7"),
        (None, lambda r: r.choice(("x", "y")), "a.b: must be one of x, y, but it is missing"),
        ("z", lambda r: r.choice(("x", "y"), "x"), "a.b: must be one of x, y, got 'z'"),
        (["x"], lambda r: r.choice(("x", "y")), "a.b: must be one of x, y, got ['x']"),
        ("yes", lambda r: r.flag(False), "a.b: must be true or false, got 'yes'"),
        (1, lambda r: r.flag(False), "a.b: must be true or false, got 1"),
        (0, lambda r: r.integer(at_least=1), "a.b: must be a whole number of at least 1, got 0"),
        (True, lambda r: r.integer(at_least=1), "a.b: must be a whole number of at least 1, got True"),
        (1.0, lambda r: r.integer(at_least=1), "a.b: must be a whole number of at least 1, got 1.0"),
        ("3", lambda r: r.integer(3, at_least=1, at_most=4), "a.b: must be a whole number of at least 1 and at most 4, got '3'"),
        (5, lambda r: r.integer(at_least=1, at_most=4), "a.b: must be a whole number of at least 1 and at most 4, got 5"),
        (None, lambda r: r.integer(at_least=1), "a.b: must be a whole number of at least 1, but it is missing"),
        (-1, lambda r: r.number(above=0), "a.b: must be greater than 0, got -1"),
        (0, lambda r: r.number(above=0), "a.b: must be greater than 0, got 0"),
        (-0.5, lambda r: r.number(), "a.b: must be at least 0, got -0.5"),
        ("1", lambda r: r.number(), "a.b: must be a number, at least 0, got '1'"),
        (float("nan"), lambda r: r.number(), "a.b: must be a number, at least 0, got nan"),
        (float("inf"), lambda r: r.number(above=0), "a.b: must be a number, greater than 0, got inf"),
        (True, lambda r: r.number(), "a.b: must be a number, at least 0, got True"),
        ("soon", lambda r: r.duration(), "a.b: must be a duration such as 30, 10s or 5m, at least 0 s, got 'soon'"),
        (
            "2h",
            lambda r: r.duration(5.0, at_most=3600),
            "a.b: must be a duration such as 30, 10s or 5m, at least 0 s and at most 3600 s, got '2h'",
        ),
        ("1ms", lambda r: r.duration(at_least=0.5), "a.b: must be a duration such as 30, 10s or 5m, at least 0.5 s, got '1ms'"),
        ([], lambda r: r.fields("x", "y"), "a.b: must be a mapping of x, y, got []"),
        ({"z": 1}, lambda r: r.fields("x", "y"), "a.b.z: is not known or not implemented yet; allowed here: x, y"),
        ({1: 1}, lambda r: r.fields("x"), "a.b.1: is not known or not implemented yet; allowed here: x"),
        ("x", lambda r: r.entries(), "a.b: must be a mapping, got 'x'"),
        ("x", lambda r: r.items(), "a.b: must be a list, got 'x'"),
        ({"x": 1}, lambda r: r.items(), "a.b: must be a list, got {'x': 1}"),
    ],
)
def test_a_wrong_value_is_told_with_its_path_and_what_is_allowed(value, read, error):
    assert told(value, read) == [error]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda r: r.text("x"), "x"),
        (lambda r: r.optional_text(), None),
        (lambda r: r.choice(("x", "y"), "y"), "y"),
        (lambda r: r.flag(True), True),
        (lambda r: r.integer(7, at_least=1), 7),
        (lambda r: r.number(0.5, above=0), 0.5),
        (lambda r: r.duration(5.0), 5.0),
        (lambda r: r.items(), []),
        (lambda r: r.entries(), {}),
        (lambda r: {key: reader.given for key, reader in r.fields("x").items()}, {"x": False}),
    ],
)
def test_what_is_not_given_takes_the_default_without_an_error(read, expected):
    errors = []
    assert (read(Reader(None, "a", errors)), errors) == (expected, [])


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda r: r.integer(5, at_least=1), 5),
        (lambda r: r.number(0.5, above=0), 0.5),
        (lambda r: r.duration(9.0, at_least=1), 9.0),
        (lambda r: r.text("x"), "x"),
        (lambda r: r.flag(True), True),
        (lambda r: r.choice(("x", "y"), "y"), "y"),
    ],
)
def test_a_wrong_value_reads_as_the_default_so_that_it_brings_no_further_errors(read, expected):
    assert read(Reader({}, "a", [])) == expected


def test_the_path_names_every_level():
    errors = []
    root = Reader({"list": [{"x": 1}, {"x": "one"}]}, "root", errors)
    for item in root.fields("list")["list"].items():
        item.fields("x")["x"].integer(at_least=0)
    assert errors == ["root.list[1].x: must be a whole number of at least 0, got 'one'"]


def test_a_tuple_is_a_list():
    assert [item.value for item in Reader((1, 2), "a").items()] == [1, 2]


def test_checked_notes_the_error_of_the_check():
    def check(value):
        raise AutoscaleError(f"{value} is not nice")

    assert told("x", lambda r: r.checked(check, None)) == ["a.b: x is not nice"]


def test_finish_raises_all_errors_together():
    root = Reader({"x": 0, "y": 0}, "r")
    for field in root.fields("x", "y").values():
        field.integer(at_least=1)
    with pytest.raises(InvalidDescription) as caught:
        root.finish()
    assert caught.value.errors == ("r.x: must be a whole number of at least 1, got 0", "r.y: must be a whole number of at least 1, got 0")


def test_finish_without_errors_is_silent():
    assert Reader(1, "r").finish() is None


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "\u00b2"])
ANYTHING = LEAVES | st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_no_value_crashes_a_reader(value):
    reader = Reader(value, "a", [])
    reader.text(pattern="[a-z]+")
    reader.choice(("x",))
    reader.flag(False)
    reader.integer(at_least=1)
    reader.number(above=0)
    reader.duration(at_most=60)
    reader.items()
    reader.entries()
    assert set(reader.fields("x")) == {"x"}
