# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metric sources other than Prometheus: a JSON endpoint, and HAProxy's own statistics."""

from __future__ import annotations

import contextlib

import pytest
import web
from ansible_collections.microservices.autoscale.plugins.module_utils._clients import json_http
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_stats import HaproxyStats, NotStatistics
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError, Unreachable
from processes import http_get, wait_until


@pytest.fixture
def answering():
    """answering(status, body): the URL of a server that gives this answer to everything, and the list of what it was asked."""
    with contextlib.ExitStack() as stack:
        yield lambda status, body, **headers: stack.enter_context(web.answering(status, body, headers))


def test_a_number_out_of_a_document(answering):
    url, asked = answering(200, b'{"queues": [{"name": "a", "depth": 3}, {"name": "b", "depth": 4.5}]}')
    assert json_http.read(f"{url}/q?x=a%20b&y=", "queues[?name=='b'].depth | [0]", {"X-Key": "k"}) == 4.5
    assert json_http.read(url, "sum(queues[].depth)") == 7.5
    assert (asked[0].path, asked[0].headers["X-Key"]) == ("/q?x=a+b&y=", "k")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("nothing", "found nothing (null); the document's top level is a mapping with the keys depth, on, text"),
        ("text", "gave '7', which is not a number"),
        ("on", "gave 'True', which is not a number"),
        ("depth[", "is not a JMESPath expression"),
        ("sum(text)", "failed: "),
    ],
)
def test_an_expression_that_gives_no_number(answering, expression, told):
    url, _asked = answering(200, b'{"depth": 1, "text": "7", "on": true}')
    with pytest.raises(json_http.BadExpression) as error:
        json_http.read(url, expression)
    assert told in error.value.message and expression in error.value.message


def test_answers_that_are_none(answering):
    with pytest.raises(Unreachable, match="not JSON"):
        json_http.read(answering(200, b"<html>")[0], "a")
    with pytest.raises(HttpError, match="with 500: broken"):
        json_http.read(answering(500, b"broken")[0], "a")
    # A redirect could lead a credential to another host.
    with pytest.raises(HttpError, match="with 302"):
        json_http.read(answering(302, b"", Location="http://127.0.0.1:1/")[0], "a")
    with pytest.raises(Unreachable, match="refused"):
        json_http.read("http://127.0.0.1:1/x", "a")


def test_credentials_stay_out_of_errors(answering):
    url, asked = answering(403, b"s3cret and pa55 are wrong")
    with pytest.raises(HttpError) as error:
        json_http.read(f"{url.replace('//', '//user:pa55@')}/x?token=t0ken", "a", {"Authorization": "Bearer s3cret"})
    assert not any(secret in error.value.message for secret in ("s3cret", "pa55", "t0ken"))
    assert asked[0].path.endswith("token=t0ken")


def test_a_page_that_is_not_the_statistics(answering):
    url, asked = answering(200, b"<html>")
    with pytest.raises(NotStatistics, match="must be the page of 'stats uri'"):
        HaproxyStats(f"{url}/stats").read()
    assert asked[0].path == "/stats;csv;norefresh"


def test_statistics_of_a_real_haproxy(haproxy):
    url = f"http://{haproxy.address}:8404/stats"
    http_get(haproxy.metrics_url)
    rows = wait_until(lambda: HaproxyStats(url).read(["stats"]), "statistics")
    frontend = next(row for row in rows if row.server == "FRONTEND")
    assert frontend.status == "OPEN" and frontend.req_tot >= 1 and frontend.scur >= 1
    assert HaproxyStats(f"{url};csv").read(["nothing"]) == []
    with pytest.raises(Unreachable, match="HAProxy's statistics page at .* refused"):
        HaproxyStats(f"http://{haproxy.address}:1/stats").read()
