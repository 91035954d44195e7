# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load generator against servers that misbehave, and the demo's shop against the load generator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.tests.lab import load

SHOP = Path(load.__file__).parent / "shop" / "shop.py"
ADDRESS = "127.0.0.1"


def answer(nonce, status="201 Created", instance="a"):
    body = json.dumps({"nonce": nonce, "instance": instance})
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def read_nonce(reader):
    """The nonce of the next request (they are all POST here), None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
        return json.loads(await reader.readexactly(length))["nonce"]
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


# What the server does with the second request of a connection; the first one is answered well.
async def close_after_head(writer, nonce):
    writer.write(answer(nonce)[:30])
    await writer.drain()


async def close_in_body(writer, nonce):
    writer.write(answer(nonce)[:-5])
    await writer.drain()


async def close_at_once(writer, nonce):
    pass


async def wrong_nonce(writer, nonce):
    writer.write(answer("another"))
    await writer.drain()


async def no_http(writer, nonce):
    writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
    await writer.drain()


async def unavailable(writer, nonce):
    writer.write(answer(nonce, "503 Service Unavailable"))
    await writer.drain()


async def hang(writer, nonce):
    await asyncio.sleep(3600)


@contextlib.asynccontextmanager
async def serving(handler):
    """Give the port of a server that answers each connection by handler(reader, writer); everything is closed at the end."""
    tasks, writers = [], []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        writers.append(writer)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, ADDRESS, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def posts(handler, rate, seconds, timeout=5.0):
    """Send evenly spaced POST requests to a server; returns the result."""

    async def scenario():
        async with serving(handler) as port:
            points = [[0, rate], [seconds, rate]]
            return await load.Run(load.LoadConfig(ADDRESS, port, points, post_share=1.0, seed=None, timeout=timeout)).run()

    return asyncio.run(scenario())


def run_against(behave, *, good_first, requests):
    """Send requests one after the other to a server that misbehaves; returns the result and the nonces that the server saw."""
    seen = []

    async def handler(reader, writer):
        count = 0
        while (nonce := await read_nonce(reader)) is not None:
            seen.append(nonce)
            count += 1
            if not (good_first and count == 1):
                await behave(writer, nonce)
                return
            writer.write(answer(nonce))
            await writer.drain()

    return posts(handler, 10, requests / 10, timeout=0.5), seen


@pytest.mark.parametrize(
    ("behave", "good_first", "outcome"),
    [
        (close_after_head, False, "partial"),
        (close_after_head, True, "partial"),
        (close_in_body, True, "partial"),
        (close_at_once, False, "lost"),
        (close_at_once, True, "reset"),
        (wrong_nonce, True, "wrong"),
        (no_http, True, "wrong"),
        (unavailable, True, "5xx"),
        (hang, False, "timeout"),
        (hang, True, "timeout"),
    ],
)
def test_each_fault_is_counted_as_what_it_is(behave, good_first, outcome):
    requests = 2 if good_first else 1
    result, seen = run_against(behave, good_first=good_first, requests=requests)
    expected = {"ok": 1, outcome: 1} if good_first else {outcome: 1}
    assert result["outcomes"] == expected
    assert result["resets"] == (1 if outcome == "reset" else 0)
    assert result["requests_failed"] == (0 if outcome == "reset" else 1)
    # sent once each: nothing is repeated in silence
    assert len(seen) == len(set(seen)) == requests == result["requests_total"]


def test_a_fresh_connection_after_a_fault_works():
    result, _seen = run_against(close_at_once, good_first=True, requests=3)
    assert result["outcomes"] == {"ok": 2, "reset": 1}


def test_idle_connection_closed_in_time_is_not_a_reset():
    """The server closes right after each answer, long before the next request: that one takes a new connection."""

    async def handler(reader, writer):
        writer.write(answer(await read_nonce(reader)))
        await writer.drain()

    assert posts(handler, 10, 0.4)["outcomes"] == {"ok": 4}


def test_refused_connection_is_a_failure():
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))  # bound and not listening: refused
        config = load.LoadConfig(ADDRESS, taken.getsockname()[1], [[0, 10], [0.2, 10]], seed=None)
        result = asyncio.run(load.Run(config).run())
    assert result["outcomes"] == {"refused": 2}
    assert result["requests_failed"] == 2


def test_latency_counts_from_the_schedule():
    """A server that takes 0.2 s for one at a time, and a request each 0.1 s: the queue shows, since the schedule does not wait."""
    slots = []

    async def handler(reader, writer):
        slots.append(slots[0] if slots else asyncio.Semaphore(1))
        while (nonce := await read_nonce(reader)) is not None:
            async with slots[0]:
                await asyncio.sleep(0.2)
            writer.write(answer(nonce))
            await writer.drain()

    result = posts(handler, 10, 1)
    assert result["outcomes"] == {"ok": 10}
    assert result["max_seconds"] == pytest.approx(1.1, abs=0.3)


@pytest.fixture
def shop(request):
    """The demo's shop with two slots of 50 ms; gives (process, port). Further options are its parameter."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SHOP), "--address", ADDRESS, "--port", str(port), "--instance", "shop-1", "--version", "1.0"]
    command += ["--slots", "2", "--service-time", "0.05", *getattr(request, "param", ())]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(f"http://{ADDRESS}:{port}/healthz", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.wait()


def page(port):
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/metrics", timeout=2) as response:
        return response.read().decode()


def test_shop_under_load_from_a_process(shop, tmp_path):
    _process, port = shop
    config = load.LoadConfig(ADDRESS, port, [[0, 20], [1.5, 20]], phases=[("all", 0, 1.5)])
    run = load.Load(config, tmp_path)
    run.start()
    result = run.wait(20)
    assert result["requests_failed"] == result["resets"] == 0
    assert result["requests_post"] > 0
    assert result["instances"] == {"shop-1": result["requests_total"]}
    assert result["phases"]["all"]["requests_total"] == result["requests_total"]
    assert run.snapshot()["sent"] > 0
    text = page(port)
    counted = sum(int(n) for n in re.findall(r'shop_requests_total\{method="(?:GET|POST)",status="20[01]"\} (\d+)', text))
    # the probes of /healthz are counted too
    assert counted >= result["requests_total"]
    assert re.search(r"^process_cpu_seconds_total \d", text, re.M)


def test_some_connections_are_not_kept_and_some_requests_take_as_long_as_asked():
    heads = []

    async def handler(reader, writer):
        while True:
            try:
                heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            except asyncio.IncompleteReadError:
                return
            writer.write(answer(re.search("nonce=([^& ]+)", heads[-1])[1], "200 OK"))
            await writer.drain()

    async def scenario():
        async with serving(handler) as port:
            mix = {"post_share": 0.0, "close_share": 0.5, "slow_share": 0.5, "slow_seconds": 1.5}
            return await load.Run(load.LoadConfig(ADDRESS, port, [[0, 40], [1, 40]], **mix)).run()

    result = asyncio.run(scenario())
    assert result["outcomes"] == {"ok": len(heads)}
    assert 0 < sum("Connection: close" in head for head in heads) < len(heads)
    assert 0 < sum("&seconds=1.5 " in head for head in heads) < len(heads)


def test_shop_takes_as_long_as_asked(shop, tmp_path):
    _process, port = shop
    run = load.Load(load.LoadConfig(ADDRESS, port, [[0, 4], [1, 4]], post_share=0.5, slow_share=1.0, slow_seconds=0.3), tmp_path)
    run.start()
    result = run.wait(20)
    assert result["outcomes"] == {"ok": result["requests_total"]} and result["requests_post"] > 0
    assert result["p50_seconds"] >= 0.3
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"http://{ADDRESS}:{port}/work?nonce=1&seconds=nan", timeout=2)


def test_load_ends_early_when_asked(shop, tmp_path):
    _process, port = shop
    run = load.Load(load.LoadConfig(ADDRESS, port, [[0, 10], [600, 10]]), tmp_path)
    run.start()
    deadline = time.monotonic() + 10
    while run.snapshot() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    result = run.finish(10)
    assert 0 < result["requests_total"] < 200
    assert result["requests_failed"] == 0


def test_shop_keeps_no_connection_of_a_monitor(shop):
    _process, port = shop
    with socket.create_connection((ADDRESS, port), timeout=5) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: shop\r\n\r\n")
        text = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"Connection: close" in text and b"process_cpu_seconds_total" in text


def test_shop_finishes_what_is_in_flight(shop):
    """SIGTERM with four requests on two slots: all are answered, with Connection: close, then the process ends."""
    process, port = shop
    clients = []
    for number in range(4):
        client = socket.create_connection((ADDRESS, port), timeout=5)
        client.sendall(f"GET /work?nonce={number} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        clients.append(client)
    deadline = time.monotonic() + 5
    while "shop_slots_busy 2" not in page(port):
        assert time.monotonic() < deadline, "the requests never took the slots"
    process.terminate()
    for number, client in enumerate(clients):
        text = b""
        while chunk := client.recv(65536):
            text += chunk
        assert text.startswith(b"HTTP/1.1 200 OK") and f'"nonce": "{number}"'.encode() in text
        client.close()
    # the last two began after SIGTERM at the earliest, so they say that the connection ends
    assert b"Connection: close" in text
    assert process.wait(5) == 0


@pytest.mark.parametrize("shop", [["--abrupt"]], indirect=True)
def test_abrupt_shop_finishes_nothing(shop):
    process, port = shop
    with socket.create_connection((ADDRESS, port), timeout=5) as client:
        client.sendall(b"GET /work?nonce=1&seconds=30 HTTP/1.1\r\nHost: shop\r\n\r\n")
        deadline = time.monotonic() + 5
        while "shop_slots_busy 1" not in page(port):
            assert time.monotonic() < deadline, "the request never took a slot"
        process.terminate()
        assert client.recv(65536) == b""
    assert process.wait(5) == -signal.SIGTERM
