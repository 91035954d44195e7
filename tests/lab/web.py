# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server inside the test that answers as it is told: for answers that no real server gives on demand."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]


@contextlib.contextmanager
def answering(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[Asked]]]:
    """Yield the URL of a server that gives one answer to everything, and the growing list of what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(Asked(self.command, self.path, dict(self.headers)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as url:
        yield url, asked


@contextlib.contextmanager
def answering_raw(*answers: bytes, reads_bodies: bool = True) -> Iterator[tuple[str, list[Asked]]]:
    """Yield the URL of a server that sends these bytes, one after the other and the last again and again, and hangs up after each.

    Args:
        reads_bodies: False hangs up in the middle of an upload.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if reads_bodies:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(Asked(self.command, self.path, dict(self.headers)))
            self.wfile.write(answers[min(len(asked), len(answers)) - 1])
            self.close_connection = True

        do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as url:
        yield url, asked


@contextlib.contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
