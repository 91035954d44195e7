# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that real Consul cannot be made to give: each is one clear error, or sent again where that is safe."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
import web
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul_transaction import TooManyOperations
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpClient, HttpError, Unreachable
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.guarded_writes import write_guarded

TOKEN = "c0ffee00-1111-2222-3333-444444444444"


def http(status, body="", *headers):
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body)}", "X-Consul-Index: 1", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{"
NOTHING = b""
LIMITED = http(429, "rate limit exceeded")
KEY = '[{"Key": "x", "Value": "MQ==", "ModifyIndex": 1}]'


@pytest.fixture
def answering():
    with contextlib.ExitStack() as stack:
        yield lambda *answers, **options: stack.enter_context(web.answering_raw(*answers, **options))


def read(consul):
    return consul.kv_get("x").value


def write(consul):
    return consul.kv_put("x", "1", cas=0)


def register(consul):
    return consul.register_service({"Name": "x"})


@pytest.mark.parametrize(
    ("act", "answers", "sent"),
    [
        (read, [LIMITED, LIMITED, LIMITED, http(200, KEY)], 4),
        (read, [http(503), http(502), http(200, KEY)], 3),
        (read, [HALF, NOTHING, http(200, KEY)], 3),
        (read, [http(500, "No cluster leader"), http(200, KEY)], 2),
        (read, [http(403, "ACL not found"), http(403, "ACL not found"), http(200, KEY)], 3),
        # Refused before anything was done, so that it cannot be done twice.
        (write, [LIMITED, http(503, "rate limit exceeded for operation that can only be performed by the leader"), http(200, "true")], 3),
        # Twice is as good as once.
        (register, [HALF, http(503), http(200)], 3),
    ],
)
def test_what_passes_is_sent_again(answering, act, answers, sent):
    url, asked = answering(*answers)
    act(Consul(url, token=TOKEN))
    assert len(asked) == sent and {one.headers["X-Consul-Token"] for one in asked} == {TOKEN}


@pytest.mark.parametrize(
    ("act", "answer", "sent", "kind", "told"),
    [
        (read, http(500, "disk on fire"), 1, HttpError, "answered GET /v1/kv/x with 500: disk on fire"),
        (read, http(503), 3, HttpError, "answered GET /v1/kv/x with 503 Some Reason .tried 3 times."),
        (
            read,
            HALF,
            3,
            Unreachable,
            "gave no answer to GET /v1/kv/x: .*(2 of 1000 bytes|2 bytes read).*consul_url .tried 3 times.",
        ),
        (read, NOTHING, 3, Unreachable, "gave no answer to GET /v1/kv/x: .*closed.*; look whether it runs there, and at consul_url"),
        (read, http(200, '[{"Key": '), 1, Unreachable, "answered GET /v1/kv/x with something that is not JSON: .*look at consul_url"),
        (
            read,
            http(301, "", "Location: http://elsewhere/"),
            1,
            HttpError,
            "answered GET /v1/kv/x with 301 .*not followed, .*'http://elsewhere/': look at .*",
        ),
        # It may have been done.
        (write, HALF, 1, Unreachable, "gave no answer to PUT /v1/kv/x: "),
        (write, NOTHING, 1, Unreachable, "gave no answer to PUT /v1/kv/x: "),
        (write, http(500, "leadership lost while committing log"), 1, HttpError, "answered PUT /v1/kv/x with 500: leadership lost"),
        (write, http(503), 1, HttpError, "answered PUT /v1/kv/x with 503"),
        (write, http(200, "tr"), 1, Unreachable, "answered PUT /v1/kv/x with something that is not JSON: 'tr'"),
        # What is asked for is longer than this client waits.
        (
            read,
            http(429, "slow", "Retry-After: 3600"),
            1,
            HttpError,
            ".* with 429: slow; it asks to wait 3600 s; .*look at its rate limits",
        ),
        (
            read,
            http(429, "slow", "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT"),
            None,
            HttpError,
            ".* with 429: slow; .*look at its rate limits",
        ),
    ],
)
def test_what_does_not_pass_is_one_clear_error(answering, act, answer, sent, kind, told):
    url, asked = answering(answer)
    began = time.monotonic()
    with pytest.raises(kind) as error:
        act(Consul(url, token=TOKEN, timeout=2))
    assert re.fullmatch(f"Consul at {url} {told}.*", error.value.message), error.value.message
    assert len(asked) == sent if sent else len(asked) > 3
    assert time.monotonic() - began < 5


def test_a_time_to_wait_is_kept_to(answering):
    url, asked = answering(http(429, "", "Retry-After: 1"), http(200, KEY))
    began = time.monotonic()
    assert read(Consul(url)) == "1"
    assert time.monotonic() - began >= 1 and len(asked) == 2


def test_no_redirect_takes_the_token_along(answering):
    elsewhere, reached = answering(http(200, KEY))
    url, asked = answering(http(307, "", f"Location: {elsewhere}/v1/kv/x"))
    with pytest.raises(HttpError, match="redirects are not followed"):
        read(Consul(url, token=TOKEN))
    assert len(asked) == 1 and not reached


@pytest.mark.parametrize(
    "answer",
    [
        http(500, f"token {TOKEN} is bad"),
        http(500, f"token {TOKEN.upper()} is bad"),
        # Cut in the middle.
        http(500, "x" * 490 + TOKEN + "y" * 100),
        http(200, f"{{{TOKEN}"),
        http(200, "x" * 190 + TOKEN + "y" * 100),
        http(302, "", f"Location: http://elsewhere/?token={TOKEN}"),
        http(302, "", f"Location: http://{TOKEN}/" + "x" * 600),
        f"HTTP/1.1 {TOKEN}\r\n\r\n".encode(),
        f"HTTP/1.1 500 {TOKEN}\r\nContent-Length: 0\r\n\r\n".encode(),
        f"{TOKEN}\r\n\r\n".encode(),
    ],
)
def test_no_error_has_the_token(answering, answer):
    url, _asked = answering(answer)
    with pytest.raises((HttpError, Unreachable)) as error:
        read(Consul(url, token=TOKEN))
    told = f"{error.value.message} {error.value.context} {getattr(error.value, 'body', '')} {error.value.__cause__}".lower()
    assert not any(TOKEN[start : start + 8] in told for start in range(0, len(TOKEN) - 8, 4)), told


@pytest.mark.parametrize("echo", ['{"error": "se\\"cret"}', "se%22cret", "dcO8c2VyOnNlImNyZXQ=", "Basic dcO8c2VyOnNlImNyZXQ="])
def test_no_error_has_the_password_of_a_url_in_any_form(answering, echo):
    url, asked = answering(http(500, echo))
    client = HttpClient(url.replace("//", "//u%C3%BCser:se%22cret@"), what="a server")
    with pytest.raises(HttpError) as error:
        client.request("GET", "/")
    assert "cret" not in error.value.message and "dcO8c2Vy" not in error.value.message and "***" in error.value.message


def test_an_upload_that_is_broken_off_says_how_large_it_was(answering):
    url, asked = answering(NOTHING, reads_bodies=False)
    with pytest.raises(Unreachable, match="gave no answer to PUT /v1/kv/x: .*; it may refuse what is as large as the 500000 bytes"):
        Consul(url).kv_put("x", "x" * 500_000, cas=0)
    assert len(asked) == 1


def test_a_transaction_learns_a_later_versions_limit(answering):
    done = http(200, '{"Results": [], "Errors": null}')
    url, asked = answering(http(413, "Transaction contains too many operations (300 > 128)"), done)
    write_guarded(Consul(url), None, "x", [(f"autoscale/x/{number}", "1", None) for number in range(300)])
    assert [one.path for one in asked] == ["/v1/txn"] * 4
    # A limit that leaves no room for a write is no limit to go by.
    url, asked = answering(http(413, "Transaction contains too many operations (2 > 0)"))
    with pytest.raises(TooManyOperations, match="with 413: Transaction contains too many"):
        write_guarded(Consul(url), None, "x", [("autoscale/x/1", "1", None), ("autoscale/x/2", "1", None)])
    assert len(asked) == 1
