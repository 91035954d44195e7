# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of the module instance start: a small HTTP service in an archive, and descriptions of its instances."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

APP = """
import http.server, os, sys, time

address, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        what, _slash, seconds = self.path[1:].partition("/")
        if what == "sleep":
            time.sleep(float(seconds))
        if what == "stream":
            return self.stream(float(seconds))
        body = str(os.getpid()).encode()
        self.send_response(500 if mode == "sick" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, seconds):
        self.send_response(200)
        self.send_header("Content-Length", str(int(seconds)))
        self.end_headers()
        for _ in range(int(seconds)):
            time.sleep(1)
            self.wfile.write(b".")

    def log_message(self, *arguments):
        pass


print("app", mode, "has a secret of", len(os.environ.get("APP_SECRET", "")), "characters", flush=True)
if mode == "crash":
    sys.exit("cannot go on")
http.server.ThreadingHTTPServer((address, port), Handler).serve_forever()
"""


def archive(path: Path, members: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write a tar.gz with the app (or other members) and return it as run.artifact."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (members or {"app.py": APP}).items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            info.mode = 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return {"url": f"file://{path}", "checksum": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}


def instance(service: str, address: str, port: int, artifact: Mapping[str, str] | None, **changes: Any) -> dict[str, Any]:
    """An instance of the app in the shape of a plan's steps.

    Args:
        changes: keys of the instance, or of its `run`.
    """
    result: dict[str, Any] = {
        "service": service,
        "id": f"{service}-app1-{port}",
        "host": "app1",
        "address": address,
        "port": port,
        "version": "1.0",
        "digest": "0",
        "run": {
            "provider": "supervisor",
            "artifact": artifact,
            "command": f"{sys.executable} {{path}}/app.py {{address}} {{port}} well",
            "user": None,
            "environment": {},
            "pre_start": None,
            "stop_grace": 5,
        },
        "check": {"http": "/healthz", "tcp": False, "interval": 1, "timeout": 1},
        "tags": [],
        "meta": {"autoscale-service": service},
        "weight": 100,
        "healthy_deadline": 20,
        "min_healthy_time": 0,
    }
    for key, value in changes.items():
        (result["run"] if key in result["run"] else result)[key] = value
    return result
