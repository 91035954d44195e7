# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.microservices.autoscale.plugins.filter.controller_path import controller_path
from ansible_collections.microservices.autoscale.plugins.filter.names import names
from ansible_collections.microservices.autoscale.plugins.plugin_utils.connection_options import connection_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        (" ", []),
        ("shop", ["shop"]),
        ("shop, cart ,,", ["shop", "cart"]),
        ([], []),
        (["shop", " cart", ""], ["shop", "cart"]),
    ],
)
def test_a_list_may_come_as_text(given: Any, expected: list[str]) -> None:
    assert names(given) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", ""), ("/var/log/d.jsonl", "/var/log/d.jsonl"), ("reports/shop.html", "/srv/here/reports/shop.html"), ("~/d", "/home/me/d")],
)
def test_a_relative_path_is_one_from_where_the_run_was_started(path: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/srv/here")
    monkeypatch.setenv("HOME", "/home/me")
    assert controller_path(path) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, {}), ("", {}), ({"consul_timeout": 20}, {"consul_timeout": 20}), ('{"consul_timeout": 20}', {"consul_timeout": 20})],
)
def test_options_may_come_as_text(given: Any, expected: dict[str, Any]) -> None:
    assert connection_options(given) == expected


@pytest.mark.parametrize("given", ["20", ["consul_timeout"]])
def test_options_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(AnsibleError, match="the options of a connection are a dictionary"):
        connection_options(given)
