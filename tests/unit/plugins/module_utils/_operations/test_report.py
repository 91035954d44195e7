# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The times that a report is asked for."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.report import moment, window_from

START = 1795413600.0  # 2026-11-23T06:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1795413600", START),
        (1795413600.5, START + 0.5),
        ("2026-11-23T06:00:00Z", START),
        ("2026-11-23 07:00:00+01:00", START),
    ],
)
def test_moment(text, seconds):
    assert moment(text, "start") == seconds


@pytest.mark.parametrize("text", ["yesterday", "2026-11-23T06:00:00", "", "nan", "inf", None])
def test_moment_refuses(text):
    with pytest.raises(AutoscaleError, match=r"^windows\[0\]\.start: must be"):
        moment(text, "windows[0].start")


def test_window_from_refuses_an_end_before_its_start():
    with pytest.raises(AutoscaleError, match=r"^windows\[1\]\.end: must be after start"):
        window_from({"label": "x", "start": "10", "end": "10"}, "windows[1]")
