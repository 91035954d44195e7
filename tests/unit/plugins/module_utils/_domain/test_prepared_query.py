# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.prepared_query import PreparedQuery

PLAIN = {
    "name": "shop-anywhere",
    "service": "shop",
    "tags": [],
    "node_meta": {},
    "service_meta": {},
    "only_passing": False,
    "ignore_checks": [],
    "near": None,
    "failover": None,
    "dns_ttl": None,
    "template": None,
    "token": None,
    "datacenter": None,
}
WHOLE = {
    **PLAIN,
    "tags": ["b", "!a"],
    "node_meta": {"rack": 1},
    "service_meta": {"https": True},
    "only_passing": True,
    "ignore_checks": ["c"],
    "near": "_agent",
    "failover": {"nearest": 2, "datacenters": ["dc3", "dc2"]},
    "dns_ttl": "10s",
    "token": "s3cret",
}


def test_what_was_not_declared_is_not_sent():
    assert PreparedQuery.from_options(PLAIN).definition() == {"Name": "shop-anywhere", "Service": {"Service": "shop"}}


def test_all_that_was_declared_is_sent():
    assert PreparedQuery.from_options(WHOLE).definition() == {
        "Name": "shop-anywhere",
        "Service": {
            "Service": "shop",
            "Tags": ["b", "!a"],
            "NodeMeta": {"rack": "1"},
            "ServiceMeta": {"https": "true"},
            "OnlyPassing": True,
            "IgnoreCheckIDs": ["c"],
            "Near": "_agent",
            "Failover": {"NearestN": 2, "Datacenters": ["dc3", "dc2"]},
        },
        "DNS": {"TTL": "10s"},
        "Token": "s3cret",
    }


def test_a_template_answers_for_a_prefix():
    template = {"regexp": "^(.*)$", "remove_empty_tags": True}
    query = PreparedQuery.from_options({**PLAIN, "name": "", "service": "${match(1)}", "template": template})
    assert query.definition() == {
        "Service": {"Service": "${match(1)}"},
        "Template": {"Type": "name_prefix_match", "Regexp": "^(.*)$", "RemoveEmptyTags": True},
    }


def test_the_order_of_tags_has_no_meaning_that_of_datacenters_has():
    query = PreparedQuery.from_options(WHOLE)
    assert query.same_as(PreparedQuery.from_options({**WHOLE, "tags": ["!a", "b"]}))
    assert not query.same_as(PreparedQuery.from_options({**WHOLE, "failover": {"nearest": 2, "datacenters": ["dc2", "dc3"]}}))


def test_the_token_is_compared_where_it_is_shown_and_never_told():
    query = PreparedQuery.from_options(WHOLE)
    assert not query.same_as(PreparedQuery.from_options({**WHOLE, "token": "other"}))
    assert query.same_as(PreparedQuery.from_options({**WHOLE, "token": "<hidden>"}))
    assert query.view()["token"] == "***" and PreparedQuery.from_options(PLAIN).view()["token"] is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "a\n"}, "name of a prepared query 'a"),
        ({"name": ""}, "name of a prepared query ''"),
        ({"name": "a b", "template": {}}, "name 'a b' is not allowed"),
        ({"service": "a/b"}, "service name 'a/b'"),
        ({"tags": ["a\nb"]}, "tags:"),
        ({"node_meta": {"a b": "x"}}, "node_meta: the key 'a b'"),
        ({"service_meta": {"a": "x\n"}}, "service_meta.a"),
        ({"near": "a b"}, "host name 'a b'"),
        ({"failover": {"nearest": -1}}, "failover.nearest: must be from 0 to 1000, got -1"),
        ({"failover": {"datacenters": ["a b"]}}, "failover.datacenters: 'a b'"),
        ({"dns_ttl": "soon"}, "duration 'soon'"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(AutoscaleError) as refused:
        PreparedQuery.from_options({**PLAIN, **options})
    assert told in refused.value.message
