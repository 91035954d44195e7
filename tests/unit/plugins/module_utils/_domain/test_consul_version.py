# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.consul_version import read_version
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.8.7", (1, 8, 7)),
        ("v1.20.0", (1, 20, 0)),
        ("1.15", (1, 15, 0)),
        ("1.8.7+dfsg1-2+b3", (1, 8, 7)),
        ("1.22.0-rc1", (1, 22, 0)),
        ("1.19.2+ent", (1, 19, 2)),
    ],
)
def test_a_version_is_read(text, version):
    assert read_version(text, "consul_version") == version


@pytest.mark.parametrize("text", ["", "1", "1.8.7\n", "one", "1.8.7;", "None", "1.8.7.6", "١.٨.٧"])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(AutoscaleError, match="consul_version: must be a version such as 1.8.7, got"):
        read_version(text, "consul_version")
