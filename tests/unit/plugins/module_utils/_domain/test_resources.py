# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.resources import parse_memory


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("256M", 256 * 1024**2),
        ("1024K", 1024**2),
        ("1G", 1024**3),
        ("2T", 2 * 1024**4),
        ("1048576", 1024**2),
        (1024**2, 1024**2),
        (1024**2 - 1, None),
        (256, None),
        ("0", None),
        ("-1G", None),
        ("1.5G", None),
        ("1GB", None),
        ("1g", None),
        ("1 G", None),
        ("1M\n", None),
        ("", None),
        ("infinity", None),
        ("50%", None),
        ("999999999999999T", None),
        (2**61, None),
        (1.5e9, None),
        (True, None),
        (None, None),
    ],
)
def test_memory_is_read_as_systemd_reads_it(value: object, size: int | None) -> None:
    assert parse_memory(value) == size
