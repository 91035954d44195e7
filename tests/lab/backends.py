# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of balancers put behind them: instances of the shop, and one that answers when it is told to."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from processes import Process, http_get

SHOP = Path(__file__).resolve().parent / "shop" / "shop.py"
PORT = 20000


@contextlib.contextmanager
def shops_at(addresses: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """One instance of the shop at each address, all on PORT; its instance name is its address."""
    with contextlib.ExitStack() as stack:
        for address in addresses:
            command = [sys.executable, str(SHOP), "--address", address, "--port", str(PORT), "--slots", "64", "--service-time", "0.05"]
            ready = _answers(f"http://{address}:{PORT}/healthz")
            stack.enter_context(Process(f"shop-{address}", [*command, "--instance", address], folder, ready=ready, lab=str(folder)))
        yield list(addresses)


def _answers(url: str) -> Callable[[], bool]:
    return lambda: http_get(url) is not None


class Held:
    """An instance that answers a request when `release` is set, and not before; `asked` is set by the first one. Its checks pass."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.release = threading.Event()
        self.asked = threading.Event()
        self.headers: dict[str, str] = {}
        self.every_header: list[tuple[str, str]] = []


@contextlib.contextmanager
def held_at(address: str) -> Iterator[Held]:
    held = Held(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/healthz":
                held.headers, held.every_header = dict(self.headers), list(self.headers.items())
                held.asked.set()
                held.release.wait(60)
            # Whoever has waited may be gone.
            with contextlib.suppress(ConnectionError):
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"held")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer((address, PORT), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield held
        finally:
            held.release.set()
            server.shutdown()
            thread.join()
