#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small web shop for the labs: a real HTTP/1.1 service whose capacity is worker slots x service time.

Capacity does not depend on the CPU, so that response time follows the number of replicas on a machine of two cores.
Standard library only, Python 3.9 and later.

    GET  /work?nonce=N   takes a slot for the service time, or for so many with &seconds=S
    POST /orders         the same, with a JSON body {"nonce": "N"}; ?seconds=S here, too
    GET  /healthz        answers at once
    GET  /metrics        Prometheus text format
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import time
from urllib.parse import parse_qs, urlsplit

# Longer than any balancer keeps an idle connection, so that the balancer is always the one that closes it.
IDLE_SECONDS = 300.0
# After SIGTERM a request may already be on its way on an idle connection; it is still answered.
LINGER_SECONDS = 0.5
BACKLOG = 4096
MONITORING = ("/healthz", "/metrics")
MAX_BODY_BYTES = 1024 * 1024
MAX_SECONDS = 60.0
REASONS = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    501: "Not Implemented",
}

log = logging.getLogger("shop")


class BadRequest(Exception):
    """A request that cannot be read; the connection is closed after the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request:
    """A parsed request: method, path, query, body and whether the client keeps the connection."""

    def __init__(self, method: str, target: str, version: str, headers: dict[str, str], body: bytes) -> None:
        url = urlsplit(target)
        self.method = method
        self.path = url.path
        self.query = parse_qs(url.query)
        self.body = body
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)


class Shop:
    """The service: its slots, its counters and its connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.started = time.time()
        self.stopping = asyncio.Event()
        self.slots = asyncio.Semaphore(options.slots)
        self.busy = 0
        self.counts: dict[tuple[str, int], int] = {}
        self.idle: set[asyncio.StreamWriter] = set()
        self.connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Listen until SIGTERM or SIGINT, then finish what is in flight."""
        loop = asyncio.get_running_loop()
        for number in () if self.options.abrupt else (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        server = await asyncio.start_server(self.connection, self.options.address, self.options.port, backlog=BACKLOG)
        log.info("%s version %s listens on %s:%s", self.options.instance, self.options.version, self.options.address, self.options.port)
        await self.stopping.wait()
        log.info("%s stops: %d connections, %d requests in flight", self.options.instance, len(self.connections), self.busy)
        server.close()
        await asyncio.sleep(LINGER_SECONDS)
        while self.connections:
            for writer in tuple(self.idle):
                writer.close()
            await asyncio.wait(tuple(self.connections), timeout=0.1)
        log.info("%s ended", self.options.instance)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            keep = True
            while keep:
                self.idle.add(writer)
                too_long = asyncio.get_running_loop().call_later(IDLE_SECONDS, writer.close)
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                finally:
                    too_long.cancel()
                self.idle.discard(writer)
                keep = await self.exchange(head, reader, writer)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # the client left or was silent for too long, or it sent no HTTP; there is nobody to tell
        finally:
            self.idle.discard(writer)
            self.connections.discard(task)
            writer.close()

    async def exchange(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection stays open."""
        method, keep = "?", False
        try:
            request = await read_request(head, reader)
            method, keep = request.method, request.keep_alive
            # A monitor that keeps its connection open would look like a client when the instance is drained.
            keep = keep and request.path not in MONITORING
            status, kind, body = await self.answer(request)
        except BadRequest as error:
            status, kind, body = error.status, "text/plain", f"{error}\n".encode()
        self.counts[(method, status)] = self.counts.get((method, status), 0) + 1
        keep = keep and not self.stopping.is_set()
        writer.write(
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        return keep

    async def answer(self, request: Request) -> tuple[int, str, bytes]:
        """Status, content type and body for one request."""
        if request.path == "/healthz":
            return 200, "text/plain", b"ok\n"
        if request.path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", self.metrics().encode()
        methods = {"/work": "GET", "/orders": "POST"}
        if request.path not in methods:
            raise BadRequest(404, f"no such page: {request.path}")
        if request.method != methods[request.path]:
            raise BadRequest(405, f"{request.path} takes {methods[request.path]}")
        nonce, seconds = nonce_of(request), seconds_of(request, self.options.service_time)
        async with self.slots:
            self.busy += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self.busy -= 1
        answer = {"instance": self.options.instance, "version": self.options.version, "nonce": nonce}
        return (201 if request.method == "POST" else 200), "application/json", json.dumps(answer).encode()

    def metrics(self) -> str:
        """The metrics page; process_cpu_seconds_total is what the CPU metric of the collection reads."""
        times = os.times()
        lines = [
            "# TYPE process_cpu_seconds_total counter",
            f"process_cpu_seconds_total {times.user + times.system:.2f}",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self.started:.3f}",
            "# TYPE shop_slots gauge",
            f"shop_slots {self.options.slots}",
            "# TYPE shop_slots_busy gauge",
            f"shop_slots_busy {self.busy}",
            "# TYPE shop_requests_total counter",
        ]
        lines += [
            f'shop_requests_total{{method="{method}",status="{status}"}} {count}'
            for (method, status), count in sorted(self.counts.items())
            if method.isalpha()
        ]
        return "\n".join(lines) + "\n"


async def read_request(head: bytes, reader: asyncio.StreamReader) -> Request:
    """Parse the head and read the body, or raise BadRequest."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400, "not an HTTP/1 request")
    headers: dict[str, str] = {}
    for line in filter(None, lines[1:]):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(400, "a header without a colon")
        headers[name.strip().lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest(501, "a chunked body is not supported")
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequest(400, "Content-Length must be a number")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(413, f"a body may have {MAX_BODY_BYTES} bytes at most")
    return Request(parts[0], parts[1], parts[2], headers, await reader.readexactly(int(length)))


def nonce_of(request: Request) -> str:
    """The nonce from the query or the JSON body, or raise BadRequest."""
    if request.method == "GET":
        return request.query.get("nonce", [""])[0]
    try:
        return str(json.loads(request.body)["nonce"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest(400, 'the body must be JSON with a "nonce"') from None


def seconds_of(request: Request, default: float) -> float:
    """How long the request is to take, from the query, or raise BadRequest."""
    try:
        seconds = float(request.query.get("seconds", [default])[0])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_SECONDS:
        raise BadRequest(400, f"seconds must be a number from 0 to {MAX_SECONDS:g}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--instance", default="shop", help="the name that every answer carries")
    parser.add_argument("--version", default="0", help="the version that every answer carries")
    parser.add_argument("--slots", type=int, default=4, help="requests worked on at the same time; further ones wait")
    parser.add_argument("--service-time", type=float, default=0.1, help="seconds that a request takes a slot")
    parser.add_argument("--abrupt", action="store_true", help="end at a signal at once, as a program does that catches none")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    async def run() -> None:
        # Semaphore and Event must be made inside the loop on Python 3.9.
        await Shop(options).serve()

    asyncio.run(run())


if __name__ == "__main__":
    main()
