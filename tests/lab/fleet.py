# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be seen of a lab's services: in Consul, in HAProxy's process, among the processes, and as a client of theirs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hosts import HostsLab
from lab import Lab
from load import Load, LoadConfig
from processes import http_get, marked_processes, wait_until

AnyLab = Lab | HostsLab


def instances(lab: AnyLab, service: str) -> dict[str, str]:
    """The worst check status of each registered instance by id."""
    entries = json.loads(http_get(f"{lab.consul_url}/v1/health/service/{service}?consistent"))
    return {
        entry["Service"]["ID"]: max((check["Status"] for check in entry["Checks"]), key=("passing", "warning", "critical").index)
        for entry in entries
    }


def versions(lab: AnyLab, service: str) -> dict[str, str]:
    """The version of each registered instance by id."""
    entries = json.loads(http_get(f"{lab.consul_url}/v1/catalog/service/{service}?consistent"))
    return {entry["ServiceID"]: entry["ServiceMeta"]["autoscale-version"] for entry in entries}


def rotation(lab: AnyLab, service: str) -> set[str]:
    """The servers that HAProxy's process has up in the pool of a service."""
    rows = [line.split(",") for line in lab.show_stat().splitlines() if line.startswith(f"autoscale_{service},")]
    return {row[1] for row in rows if row[1] not in ("FRONTEND", "BACKEND") and row[17].startswith("UP")}


def pids(lab: Lab, service: str) -> dict[str, int]:
    """The process of each running instance of the shop by id, wherever it comes from."""
    found = {}
    for pid in marked_processes(str(lab.root)):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            # The shop itself, and not the shell that is about to become it.
            if "--instance" in words[2:] and words[words.index("--instance") + 1].startswith(f"{service}-"):
                found[words[words.index("--instance") + 1]] = pid
    return found


def newest_write(lab: AnyLab) -> int:
    """The index of the newest write below autoscale/ in Consul KV."""
    return max(int(entry["ModifyIndex"]) for entry in json.loads(http_get(f"{lab.consul_url}/v1/kv/autoscale/?recurse")))


def keys(lab: AnyLab) -> list[str]:
    """All keys in Consul KV."""
    return list(json.loads(http_get(f"{lab.consul_url}/v1/kv/?keys")))


def document(lab: AnyLab, service: str, name: str) -> Any:
    return json.loads(http_get(f"{lab.consul_url}/v1/kv/autoscale/{service}/{name}?raw"))


def answer(lab: AnyLab, port: int) -> dict[str, Any]:
    """What a service of the shop answers through the balancer."""
    return dict(json.loads(http_get(f"http://{lab.address('lb1')}:{port}/work?nonce=n")))


@contextlib.contextmanager
def no_request_lost(lab: AnyLab, port: int, rate: float, folder: Path, *, at_most: float = 600) -> Iterator[None]:
    """Send GET and POST meanwhile; each of them must be answered, by a right answer.

    Args:
        rate: requests per second.
        at_most: seconds after which nothing is sent any more.
    """
    load = Load(LoadConfig(lab.address("lb1"), port, [[0, rate], [at_most, rate]]), folder)
    load.start()
    try:
        wait_until(load.snapshot, "the load to begin")
        yield
        result = load.finish(60)
    finally:
        load.kill()
    assert (result["outcomes"].keys(), result["examples"]) == ({"ok"}, []), result
