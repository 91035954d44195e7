#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open-loop HTTP load: requests leave by a schedule, whatever the answers do, and every answer is checked.

HTTP/1.1, GET and POST mixed, keep-alive connections and, if asked for, some that are not kept, no retries. A client of its own, because
the usual ones repeat a request in silence when a connection breaks, and that is just what has to be counted:

    failed   5xx, a wrong or partial answer, a time-out, connection refused, a connection lost after the first byte of the
             answer or on a fresh connection
    reset    a reused keep-alive connection that was closed before any byte of the answer; counted apart, not repeated

Latency is counted from the scheduled time, so that waiting in a queue of ours is not hidden.

As a command:  load.py --address 127.0.0.1 --port 8080 --points '[[0, 20], [30, 120], [60, 20]]' --out result.json
As a library:  load = Load(config, folder); load.start(); load.snapshot(); result = load.wait()   (a process of its own)
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import collections
import contextlib
import dataclasses
import json
import math
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterator, Sequence

SNAPSHOT_SECONDS = 1.0
# The p95 of a snapshot is that of the answers of the last seconds.
RECENT_SECONDS = 3.0
EXAMPLES_KEPT = 20


# The schedule. Pure arithmetic.


def rate_at(points: Sequence[Sequence[float]], moment: float) -> float:
    """The rate at a moment, linear between the points (seconds, requests per second); 0 outside."""
    for (start, low), (end, high) in zip(points, points[1:], strict=False):
        if start <= moment < end:
            return low + (high - low) * (moment - start) / (end - start)
    return 0.0


def arrivals(points: Sequence[Sequence[float]], seed: int | None = None) -> Iterator[float]:
    """The moments at which requests leave, in seconds from the start.

    Args:
        points: (seconds, requests per second), at least two, times ascending; the rate is linear in between.
        seed: None spaces the requests evenly, a number makes them a Poisson process that is the same at every run.
    """
    chance = None if seed is None else random.Random(seed)
    debt = _gap(chance, first=True)  # how much of the area under the rate is to pass before the next request
    for (start, low), (end, high) in zip(points, points[1:], strict=False):
        span = end - start
        moment = 0.0
        while span > 0:
            step = _time_for_area(debt, low + (high - low) * moment / span, (high - low) / span)
            if step is None or moment + step > span:
                here = low + (high - low) * moment / span
                debt -= (here + high) / 2 * (span - moment)
                break
            moment += step
            yield start + moment
            debt = _gap(chance)


def _gap(chance: random.Random | None, first: bool = False) -> float:
    if chance is None:
        return 0.5 if first else 1.0
    return chance.expovariate(1.0)


def _time_for_area(area: float, rate: float, slope: float) -> float | None:
    """Seconds until the area under rate + slope * t reaches the area; None when it never does."""
    if abs(slope) < 1e-12:
        return area / rate if rate > 0 else None
    inner = rate * rate + 2 * slope * area
    return None if inner < 0 else max(0.0, (math.sqrt(inner) - rate) / slope)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


# The configuration and the records.


@dataclasses.dataclass(frozen=True)
class LoadConfig:
    """What to send.

    Args:
        address, port: where to.
        points: see arrivals().
        post_share: share of POST requests, 0 to 1.
        seed: see arrivals(); the mix of methods is drawn from it too.
        timeout: seconds from the scheduled time until a request counts as failed.
        phases: (name, start, end) in seconds from the start; each gets a summary of its own.
        get_path, post_path: the pages asked; GET carries the nonce in the query, POST in a JSON body.
        close_share: share of requests on a connection of their own, with "Connection: close", 0 to 1.
        slow_share: share of requests that ask the shop for `slow_seconds` each, 0 to 1.
    """

    address: str
    port: int
    points: Sequence[Sequence[float]]
    post_share: float = 0.25
    seed: int | None = 1
    timeout: float = 60.0
    phases: Sequence[Sequence[Any]] = ()
    get_path: str = "/work"
    post_path: str = "/orders"
    close_share: float = 0.0
    slow_share: float = 0.0
    slow_seconds: float = 2.0


@dataclasses.dataclass
class Record:
    """One request. outcome is "ok", "reset" or why it failed: 5xx, wrong, partial, timeout, refused, lost."""

    scheduled: float
    method: str
    latency: float = 0.0
    status: int = 0
    instance: str = ""
    outcome: str = "ok"
    detail: str = ""
    lag: float = 0.0
    close: bool = False
    slow: bool = False

    @property
    def failed(self) -> bool:
        return self.outcome not in ("ok", "reset")


class Failure(Exception):
    """Why a request did not succeed: the outcome of its record and words for a reader."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


# The client.


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.reused = False
        self.got_byte = False

    @property
    def usable(self) -> bool:
        """False when the other side has closed it while it was idle: found before anything was sent, so nothing is lost."""
        return not self.reader.at_eof() and not self.writer.is_closing() and self.reader.exception() is None

    async def exchange(self, payload: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send one request and read the whole answer: status, headers, body."""
        self.got_byte = False
        try:
            self.writer.write(payload)
            first = await self.reader.readexactly(1)
            self.got_byte = True
            head = first + await self.reader.readuntil(b"\r\n\r\n")
            status, headers = parse_head(head)
            return status, headers, await self._body(headers)
        except ValueError as error:
            raise Failure("wrong", f"a length that is not a number: {error}") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> Failure:
        reason = f"{type(error).__name__}: {error}"
        if self.got_byte:
            return Failure("partial", f"connection lost inside the answer ({reason})")
        if self.reused:
            return Failure("reset", f"reused connection closed before any byte ({reason})")
        return Failure("lost", f"fresh connection closed before any byte ({reason})")

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
                body += (await self.reader.readexactly(size + 2))[:-2]
                if size == 0:
                    return body
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers (names in lower case) of an answer, or Failure when it is no HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise Failure("wrong", f"not an HTTP answer: {lines[0][:80]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _colon, value in pairs}


class Client:
    """Sends single requests over a pool of keep-alive connections; never sends one twice.

    Attributes:
        connections_most: how many connections were open at once.
    """

    def __init__(self, config: LoadConfig) -> None:
        self._config = config
        self._idle: list[Connection] = []
        self._busy = 0
        self.connections_most = 0

    async def send(self, record: Record, nonce: str, start: float) -> None:
        """Send one request and fill in its record; start is the scheduled moment on the monotonic clock."""
        try:
            remaining = start + self._config.timeout - time.monotonic()
            await asyncio.wait_for(self._send(record, nonce), max(0.001, remaining))
        except TimeoutError:
            record.outcome, record.detail = "timeout", f"no complete answer within {self._config.timeout:g} s"
        except Failure as failure:
            record.outcome, record.detail = failure.outcome, failure.detail
        record.latency = time.monotonic() - start

    async def _send(self, record: Record, nonce: str) -> None:
        connection = await (self._open() if record.close else self._connection())
        keep = False
        self._busy += 1
        self.connections_most = max(self.connections_most, self._busy + len(self._idle))
        try:
            status, headers, body = await connection.exchange(self._payload(record, nonce))
            lasts = not record.close and headers.get("connection", "").lower() != "close"
            keep = lasts and ("content-length" in headers or "transfer-encoding" in headers)
            record.status = status
            record.instance = check_answer(record.method, status, body, nonce)
        finally:
            self._busy -= 1
            # Also on cancellation: a connection with an answer half read must never be used again.
            if keep:
                connection.reused = True
                self._idle.append(connection)
            else:
                connection.writer.close()

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.writer.close()
        return await self._open()

    async def _open(self) -> Connection:
        try:
            reader, writer = await asyncio.open_connection(self._config.address, self._config.port)
        except ConnectionRefusedError as error:
            raise Failure("refused", str(error)) from None
        except OSError as error:
            raise Failure("lost", f"could not connect: {error}") from None
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(reader, writer)

    def _payload(self, record: Record, nonce: str) -> bytes:
        config, post = self._config, record.method == "POST"
        body = json.dumps({"nonce": nonce, "items": [1, 2, 3]}) if post else ""
        asked = {} if post else {"nonce": nonce}
        if record.slow:
            asked["seconds"] = f"{config.slow_seconds:g}"
        path = (config.post_path if post else config.get_path) + (f"?{urllib.parse.urlencode(asked)}" if asked else "")
        extra = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        extra += "Connection: close\r\n" if record.close else ""
        return f"{record.method} {path} HTTP/1.1\r\nHost: {config.address}:{config.port}\r\n{extra}\r\n{body}".encode()

    async def close(self) -> None:
        """Close all connections and wait until they are."""
        for connection in self._idle:
            connection.writer.close()
        for connection in self._idle:
            with contextlib.suppress(OSError):
                await connection.writer.wait_closed()
        self._idle.clear()


def check_answer(method: str, status: int, body: bytes, nonce: str) -> str:
    """The instance that answered, or Failure when the answer is not the one asked for."""
    if status >= 500:
        raise Failure("5xx", f"status {status}: {body[:80]!r}")
    if status != (201 if method == "POST" else 200):
        raise Failure("wrong", f"status {status}: {body[:80]!r}")
    try:
        answer = json.loads(body)
        echoed, instance = answer["nonce"], str(answer["instance"])
    except (ValueError, KeyError, TypeError):
        raise Failure("wrong", f"not the JSON expected: {body[:80]!r}") from None
    if echoed != nonce:
        raise Failure("wrong", f"nonce {echoed!r} in place of {nonce!r}")
    return instance


# The run.


class Run:
    """One run of the load inside this process.

    Args:
        config: what to send.
        live: file to which a snapshot is appended every second.
        parent: process id; the run stops when this is not the parent any more.
    """

    def __init__(self, config: LoadConfig, live: Path | None = None, parent: int | None = None) -> None:
        self._config = config
        self._live = live
        self._parent = parent
        self._stop = asyncio.Event()
        self._records: list[Record] = []
        self._recent: collections.deque[tuple[float, float]] = collections.deque()
        self._finished: collections.Counter[str] = collections.Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._series: list[list[Any]] = []

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for."""
        self._stop.set()

    async def run(self) -> dict[str, Any]:
        """Send everything, wait for the last answer and return the result."""
        config = self._config
        client = Client(config)
        mix = random.Random(config.seed)
        started, wall = time.monotonic(), time.time()
        snapshots = asyncio.ensure_future(self._snapshots(started, wall))
        for number, moment in enumerate(arrivals(config.points, config.seed)):
            if await self._wait_until(started + moment):
                break
            method = "POST" if mix.random() < config.post_share else "GET"
            record = Record(moment, method, close=mix.random() < config.close_share, slow=mix.random() < config.slow_share)
            record.lag = time.monotonic() - started - moment
            self._records.append(record)
            task = asyncio.ensure_future(self._one(client, record, f"{number}-{mix.getrandbits(32):08x}", started + moment))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # The schedule lasts until its last point, also when nothing more leaves.
        await self._wait_until(started + config.points[-1][0])
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))
        snapshots.cancel()
        await client.close()
        result = result_of(config, self._records, wall, time.monotonic() - started, self._series)
        return {**result, "connections_most": client.connections_most}

    async def _wait_until(self, moment: float) -> bool:
        """Wait for a moment; True when the run was stopped meanwhile."""
        delay = moment - time.monotonic()
        if delay > 0 and not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)
        return self._stop.is_set()

    async def _one(self, client: Client, record: Record, nonce: str, start: float) -> None:
        await client.send(record, nonce, start)
        self._finished[record.outcome] += 1
        self._recent.append((time.monotonic(), record.latency))

    async def _snapshots(self, started: float, wall: float) -> None:
        sent = 0
        while True:
            await asyncio.sleep(SNAPSHOT_SECONDS - (time.monotonic() - started) % SNAPSHOT_SECONDS)
            if self._parent not in (None, os.getppid()):
                self.stop()  # whoever asked for the load is gone
            now = time.monotonic()
            while self._recent and self._recent[0][0] < now - RECENT_SECONDS:
                self._recent.popleft()
            p95 = percentile([latency for _moment, latency in self._recent], 0.95)
            total = len(self._records)
            snapshot = {
                "time": wall + now - started,
                "elapsed": now - started,
                "rate": (total - sent) / SNAPSHOT_SECONDS,
                "p95_seconds": p95,
                "sent": total,
                "in_flight": len(self._tasks),
                "failed": sum(count for outcome, count in self._finished.items() if outcome not in ("ok", "reset")),
                "resets": self._finished["reset"],
            }
            sent = total
            self._series.append([snapshot["time"], snapshot["rate"], p95])
            if self._live:
                with self._live.open("a") as file:
                    file.write(json.dumps(snapshot) + "\n")


def result_of(config: LoadConfig, records: Sequence[Record], wall: float, duration: float, series: list[list[Any]]) -> dict[str, Any]:
    """The result as written: totals, phases, where the answers came from, examples of what went wrong."""
    bad = [record for record in records if record.outcome != "ok"]
    starts = [phase[1] for phase in config.phases]
    by_phase: dict[str, list[Record]] = {phase[0]: [] for phase in config.phases}
    for record in records:
        place = bisect.bisect_right(starts, record.scheduled) - 1
        if place >= 0 and record.scheduled < config.phases[place][2]:
            by_phase[config.phases[place][0]].append(record)
    return {
        "started": wall,
        "duration_seconds": duration,
        **summary_of(records),
        "outcomes": dict(collections.Counter(record.outcome for record in records)),
        "instances": dict(sorted(collections.Counter(record.instance for record in records if record.instance).items())),
        "lag_seconds_p99": percentile([record.lag for record in records], 0.99),
        "phases": {name: summary_of(part) for name, part in by_phase.items()},
        "examples": [dataclasses.asdict(record) for record in bad[:EXAMPLES_KEPT]],
        "series": series,
    }


def summary_of(records: Sequence[Record]) -> dict[str, Any]:
    """Counts and latencies (seconds, from the scheduled time) of some requests; failed ones are in the latencies too."""
    latencies = [record.latency for record in records]
    return {
        "requests_total": len(records),
        "requests_post": sum(record.method == "POST" for record in records),
        "requests_ok": sum(record.outcome == "ok" for record in records),
        "requests_failed": sum(record.failed for record in records),
        "requests_5xx": sum(record.status >= 500 for record in records),
        "resets": sum(record.outcome == "reset" for record in records),
        "p50_seconds": percentile(latencies, 0.50),
        "p95_seconds": percentile(latencies, 0.95),
        "p99_seconds": percentile(latencies, 0.99),
        "max_seconds": max(latencies, default=None),
    }


# The process.


class Load:
    """A run in a process of its own, so that a busy caller disturbs it little.

    Args:
        config: what to send.
        folder: an existing folder for its files: load.json, live.jsonl, result.json, load.log.
    """

    def __init__(self, config: LoadConfig, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start sending."""
        for name in ("live.jsonl", "result.json"):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / "load.json").write_text(json.dumps(dataclasses.asdict(self._config)))
        command = [sys.executable, str(Path(__file__).resolve()), "--config", str(self._folder / "load.json")]
        command += ["--live", str(self._folder / "live.jsonl"), "--out", str(self._folder / "result.json"), "--parent", str(os.getpid())]
        with (self._folder / "load.log").open("wb") as log:
            # A session of its own: Ctrl-C in the caller's terminal is the caller's to handle.
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def snapshot(self) -> dict[str, Any] | None:
        """The newest snapshot: time, elapsed, rate, p95_seconds, sent, in_flight, failed, resets; None before the first."""
        try:
            lines = (self._folder / "live.jsonl").read_text().splitlines()
            return dict(json.loads(lines[-1]))
        except (OSError, IndexError, ValueError):
            return None

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end and return the result; raises RuntimeError with the process's words when there is none."""
        if self._process is None:
            raise RuntimeError("the load was not started")
        code = self._process.wait(timeout)
        if code != 0:
            raise RuntimeError(f"the load generator ended with {code}: {(self._folder / 'load.log').read_text()[-2000:]}")
        return dict(json.loads((self._folder / "result.json").read_text()))

    def finish(self, timeout: float | None = None) -> dict[str, Any]:
        """Send nothing more, wait for the answers under way and return the result."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it at once, whatever is in flight."""
        if self.running and self._process is not None:
            self._process.kill()
            self._process.wait()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="JSON file with the fields of LoadConfig, in place of the options below")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--points", type=json.loads, help="JSON list of [seconds, requests per second]")
    parser.add_argument("--post-share", type=float, default=0.25)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", type=Path, help="append a JSON line a second to this file")
    parser.add_argument("--parent", type=int, help="process id; stop when this is not the parent any more")
    parser.add_argument("--out", type=Path, help="write the result here; standard output without")
    options = parser.parse_args()
    if options.config is None and (options.port is None or options.points is None):
        parser.error("give --config, or --port and --points")
    return options


def main() -> int:
    options = parse_options()
    if options.config:
        config = LoadConfig(**json.loads(options.config.read_text()))
    else:
        config = LoadConfig(options.address, options.port, options.points, options.post_share, options.seed, options.timeout)
    # One connection per request that waits: an overload needs many.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def run() -> dict[str, Any]:
        load = Run(config, options.live, options.parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, load.stop)
        return await load.run()

    text = json.dumps(asyncio.run(run()), indent=2)
    if options.out:
        temporary = options.out.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(options.out)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
