# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a catalog shows as an instance: what is refused and how it is named, and that the rest can stand in one pool."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Instance
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.usable import refusal, require_usable, without_doubles
from hypothesis import given
from hypothesis import strategies as st

GOOD = {"ID": "shop-app1-20000", "Address": "192.0.2.1", "Port": 20000, "Meta": {"autoscale-version": "1"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ID": "a\n    http-request return"}, r"instance id 'a\\n    http-request return' is not allowed"),
        ({"ID": "a;} server { listen 9; }"}, "instance id 'a;} server"),
        ({"ID": "../../etc/passwd"}, "instance id '../../etc/passwd'"),
        ({"ID": "-x"}, "instance id '-x'"),
        ({"ID": "{{ 7 * 7 }}"}, "instance id '{{ 7"),
        ({"ID": "\x1b[2J"}, r"instance id '\\x1b\[2J'"),
        ({"ID": "a" * 300}, r"instance id 'a{159}\.\.\. \(302 characters\)"),
        ({"Address": "1.2.3.4; } server { listen 9"}, "address '1.2.3.4; } server"),
        ({"Address": "db.example"}, "address 'db.example'"),
        ({"Address": "fe80::1%eth0"}, "address 'fe80::1%eth0'"),
        ({"Address": "::1%; } server { listen 9"}, "address '::1%; } server"),
        ({"Address": ""}, "address ''"),
        ({"Port": 70000}, "port 70000 is not allowed"),
        ({"Port": 0}, "port 0"),
        ({"Port": -1}, "port -1"),
        ({"Port": None}, "port 0"),
        ({"Meta": None}, "version None"),
        ({"Meta": {"autoscale-version": "1\n"}}, r"version '1\\n'"),
    ],
)
def test_what_could_not_stand_in_a_file_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    require_usable(GOOD)
    with pytest.raises(AutoscaleError, match=words):
        require_usable({**GOOD, **change})


def instance(identity: str, node: str = "app1", address: str = "192.0.2.1", port: int = 20000) -> Instance:
    return Instance(identity, node, node, address, port, "1", "d", seen.READY)


def test_the_one_that_is_where_its_id_says_goes_before_its_doubles() -> None:
    real = instance("shop-app2-20000", "app2", "192.0.2.2")
    forged = [
        instance("shop-app2-20000", "app1", "192.0.2.9"),
        instance("Shop-App2-20000", "app1", "192.0.2.9", 20001),
        instance("shop-other", "app1", "192.0.2.2"),
        instance("shop-lower", "app1", "0:0::1"),
        instance("shop-lower-too", "app1", "::1"),
    ]
    refused: dict[str, list[str]] = {"shop": ["before"]}
    assert without_doubles("shop", [*forged, real], refused) == (forged[3], real)
    assert [line.partition(" is refused: ")[2] for line in refused["shop"][1:]] == [
        "its id is that of shop-app2-20000 on node app2; deregister it there",
        "its id is that of shop-app2-20000 on node app2; deregister it there",
        "192.0.2.2:20000 is that of shop-app2-20000 on node app2; deregister it there",
        "[::1]:20000 is that of shop-lower on node app1; deregister it there",
    ]


few = st.sampled_from(["shop-app1-1", "shop-app2-1", "SHOP-app2-1", "x"])
INSTANCES = st.builds(
    instance, few, st.sampled_from(["app1", "app2"]), st.sampled_from(["192.0.2.1", "192.0.2.2", "::1", "0::1"]), st.integers(1, 3)
)


@given(st.lists(INSTANCES, max_size=8))
def test_what_is_left_is_a_pool_and_nothing_is_lost_without_a_word(found: list[Instance]) -> None:
    refused: dict[str, list[str]] = {}
    kept = without_doubles("shop", found, refused)
    assert len(kept) + len(refused.get("shop", ())) == len(found)
    assert all(any(one is other for other in found) for one in kept)
    servers = [{"id": one.id, "address": one.address, "port": one.port, "weight": 1} for one in kept]
    described = {
        "service": "shop",
        "listen": {"address": "127.0.0.1", "port": 80},
        "algorithm": "random",
        "check": {"tcp": True, "interval": 1, "timeout": 1},
        "servers": servers,
    }
    assert len(pool_from(described, "p").servers) == len(kept)


@given(st.text(max_size=400), st.text(max_size=400))
def test_a_refusal_is_one_line_that_any_terminal_can_show(identity: str, node: str) -> None:
    line = refusal(identity, node, str(_error_of(identity)))
    assert line.isprintable() and len(line) < 1000


def _error_of(identity: str) -> object:
    try:
        require_usable({**GOOD, "ID": identity})
    except AutoscaleError as error:
        return error
    return dataclasses.MISSING
