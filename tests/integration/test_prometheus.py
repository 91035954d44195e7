# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Prometheus client on a real server, and on answers that a real one gives seldom."""

from __future__ import annotations

import contextlib
import math
import time

import pytest
import web
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError, Unreachable
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import BadQuery, Prometheus, Sample
from processes import wait_until

TWO = "(vector(1) or label_replace(vector(2), 'a', 'b', '', ''))"


@pytest.fixture
def client(prometheus):
    return Prometheus(prometheus.url)


@pytest.fixture
def answering():
    """answering(status, body): the URL of a server that gives this answer to everything, and the list of what it was asked."""
    with contextlib.ExitStack() as stack:
        yield lambda status, body, **headers: stack.enter_context(web.answering(status, body, headers))


def test_a_vector_with_labels_and_a_scalar(client):
    before = time.time()
    (sample,) = client.query('label_replace(vector(2.5), "instance_id", "shop-1", "", "")')
    assert (sample.labels, sample.value) == ({"instance_id": "shop-1"}, 2.5)
    assert before - 1 <= sample.timestamp <= time.time() + 1
    assert client.query("42", 1000.5) == [Sample({}, 42.0, 1000.5)]
    assert client.query("nothing_of_that_name") == []


def test_numbers_that_are_none_are_passed_on(client):
    (nan,) = client.query("vector(0) / 0")
    assert math.isnan(nan.value)
    assert [client.query(f"vector({sign}1) / 0")[0].value for sign in ("", "-")] == [math.inf, -math.inf]


def test_a_range_is_pairs_of_time_and_value(client):
    ((labels, pairs),) = client.query_range("vector(7)", 1000, 1010, 5)
    assert (labels, pairs) == ({}, [(1000.0, 7.0), (1005.0, 7.0), (1010.0, 7.0)])


def test_a_long_query_is_not_too_long_for_a_url(client):
    assert client.query(" + ".join(["vector(1)"] * 5000))[0].value == 5000


@pytest.mark.parametrize(
    ("expr", "told"),
    [
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        (f"{TWO} * on() {TWO}", "execution: "),
        ("'text'", "gives a string"),
        ("up[5m]", "gives a matrix"),
    ],
)
def test_a_bad_query_comes_with_prometheus_own_words(client, expr, told):
    with pytest.raises(BadQuery) as error:
        client.query(expr)
    assert told in error.value.message and repr(expr) in error.value.message


def test_nobody_there_and_somebody_else_there(prometheus, consul):
    with pytest.raises(Unreachable, match=rf"Prometheus at http://{prometheus.address}:1 gave no answer .*refused"):
        Prometheus(f"http://{prometheus.address}:1").query("1")
    with pytest.raises(HttpError, match="404"):
        Prometheus(consul.url).query("1")


def test_a_server_that_does_not_answer_in_time(prometheus, client):
    prometheus.pause()
    try:
        with pytest.raises(Unreachable, match="gave no answer"):
            Prometheus(prometheus.url, timeout=0.3).query("1")
    finally:
        prometheus.resume()
    assert client.query("1")


def test_it_reads_what_was_scraped(prometheus, client):
    prometheus.config_file.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: own, static_configs: [{{targets: ['{prometheus.address}:9090'], labels: {{service: shop}}}}]}}\n"
    )
    client._http.request("POST", "/-/reload")
    (sample,) = wait_until(lambda: client.query('up{service="shop"} == 1'), "the first scrape")
    assert sample.labels["job"] == "own"


def test_warnings_and_a_token(answering):
    url, asked = answering(
        200, b'{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["partial response: store down"]}'
    )
    client = Prometheus(url, token="s3cret")
    assert client.query("up") == []
    assert client.warnings == ("partial response: store down",)
    assert asked[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in asked[0].path


def test_a_token_that_comes_back_in_an_error_is_masked(answering):
    url, _asked = answering(401, b"no such token: s3cret")
    with pytest.raises(HttpError) as error:
        Prometheus(url, token="s3cret").query("up")
    assert "no such token: ***" in error.value.message


def test_an_answer_that_breaks_off(answering):
    url, _asked = answering(200, b'{"status":"succ')
    with pytest.raises(Unreachable, match="not JSON"):
        Prometheus(url).query("up")
