# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.catalog_query import CatalogQuery
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError

NOTHING = {
    "tags": [],
    "filter": None,
    "near": None,
    "datacenter": None,
    "consistency": "default",
    "cached": False,
    "namespace": None,
    "partition": None,
    "peer": None,
}


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({}, {}),
        ({"tags": ["a", "b"]}, {"tag": ["a", "b"]}),
        ({"filter": "Service.Port == 80"}, {"filter": "Service.Port == 80"}),
        # Consul 1.8 answers it wrongly, so it is not sent.
        ({"filter": "Service.Meta.a matches b"}, {}),
        ({"near": "_agent", "datacenter": "dc2"}, {"near": "_agent", "dc": "dc2"}),
        ({"near": "app-1.example"}, {"near": "app-1.example"}),
        ({"consistency": "stale", "cached": True}, {"stale": "", "cached": ""}),
        ({"consistency": "consistent"}, {"consistent": ""}),
        ({"namespace": "n", "partition": "p", "peer": "q"}, {"ns": "n", "partition": "p", "peer": "q"}),
    ],
)
def test_only_what_was_asked_for_is_sent(options, params):
    assert CatalogQuery.from_options({**NOTHING, **options}).params() == params


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cached": True, "consistency": "consistent"}, "cached: an answer from the agent's cache is never consistent"),
        ({"near": "a b"}, "near: must be _agent or the name of a node"),
        ({"near": "app1\n"}, "near: must be _agent"),
        ({"tags": ["a\nb"]}, "tags: 'a"),
        ({"datacenter": "dc1&stale"}, "datacenter: 'dc1&stale' is not allowed"),
        ({"namespace": ""}, "namespace: '' is not allowed"),
        ({"peer": "x\n"}, "peer: 'x"),
        ({"filter": "Foo == 1"}, "filter: 'Foo == 1' is not a filter"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options, told):
    with pytest.raises(AutoscaleError) as refused:
        CatalogQuery.from_options({**NOTHING, **options})
    assert told in refused.value.message


def test_tags_and_filter_are_looked_at_whatever_the_server_did():
    query = CatalogQuery.from_options({**NOTHING, "tags": ["Blue"], "filter": "Service.Port == 80"})
    entry = {"Node": {}, "Service": {"Tags": ["blue", "eu"], "Port": 80}, "Checks": []}
    assert query.keeps(entry)
    assert not query.keeps({**entry, "Service": {"Tags": ["eu"], "Port": 80}})
    assert not query.keeps({**entry, "Service": {"Tags": ["blue"], "Port": 81}})
    assert not query.keeps({**entry, "Service": {"Tags": None, "Port": 80}})


def test_what_older_servers_ignore_has_a_gate():
    assert CatalogQuery.from_options({**NOTHING, "namespace": "n"}).gates() == {}
    assert CatalogQuery.from_options({**NOTHING, "partition": "p", "peer": "q"}).gates() == {"partition": (1, 11, 0), "peer": (1, 13, 0)}
