# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from elsewhere in messages: nothing in it steers a terminal, whatever it is."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, printable, quoted
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, übrig 世界\n\tsecond line", "plain, übrig 世界\n\tsecond line"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\rb\x00\x7f\x9b31m", "a\\rb\\x00\\x7f\\x9b31m"),
        ("right \u202e left\u200b\u2028", "right \\u202e left\\u200b\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert (AutoscaleError(text).message, str(AutoscaleError(text))) == (shown, shown)


@given(st.text())
def test_nothing_is_left_that_cannot_be_shown(text: str) -> None:
    assert printable(text).replace("\n", "").replace("\t", "").isprintable()
    assert printable(printable(text)) == printable(text)
    assert quoted(text).isprintable() and len(quoted(text)) < 200
    printable(text).encode()
