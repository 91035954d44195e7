# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.consul_rights import explain_refusal, right_needed


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        ("GET /v1/kv/autoscale/shop/scale", 'key:read (and key:list for a prefix, where Consul asks for it) on "autoscale/shop/scale"'),
        ("DELETE /v1/kv/autoscale/{x}", 'key:write on "autoscale/{x}" (and session:write, where it takes or gives back a lock)'),
        ("PUT /v1/agent/service/deregister/shop-1", 'service:write on the service of the instance "shop-1"'),
        ("PUT /v1/agent/service/register", "service:write on the services that are registered"),
        ("PUT /v1/session/renew/x", "session:write on the node of this agent"),
        ("GET /v1/health/service/shop", "node:read on the nodes and service:read on the services"),
        ("GET /v1/status/leader", ""),
    ],
)
def test_the_right_of_a_request(asked, right):
    assert right_needed(asked) == right


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, "ACL not found", "Consul does not know this token: look at consul_token"),
        (403, "rpc error making call: ACL not found", "Consul does not know this token: look at consul_token"),
        (403, "Permission denied", "this needs agent:read on the node of this agent: look at consul_token and its policies"),
        (401, "ACL support disabled", "ACLs are off there"),
        (500, "Permission denied", ""),
    ],
)
def test_a_refusal_is_explained(status, body, told):
    assert explain_refusal("GET /v1/agent/self", status, body) == told
    assert explain_refusal("GET /v1/other", 403, "Permission denied") == "look at consul_token and its policies"
