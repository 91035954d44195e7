# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text in Consul's catalog by which somebody wants to reach a file, a command or a terminal; Consul takes all of it."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from faults import put
from lab import Lab
from processes import http_get, marked_processes, wait_until

# In every text, so that it is found wherever it comes out; the template would give 1337.
WORD = "HOSTILE"
TEMPLATE = "{{ 7 * 191 }}"
EVALUATED = f"1337{WORD}"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
TEXTS = (
    f"{WORD}\n    http-request return status 200",
    f"{WORD};}} server {{ listen 9; }}",
    f"\"{WORD}'`id`$(id)\\",
    f"{TEMPLATE}{WORD}",
    f"{ESCAPE}{WORD}\r\x9b31m\u202e",
    f"../../../../{WORD}",
    WORD + "x" * 300,
)
ADDRESSES = (
    f"1.2.3.4; }} server {{ listen 9 {WORD}",
    f"127.0.0.1 check\nglobal {WORD}",
    f"{TEMPLATE}{WORD}",
    f"{WORD}.example",
    "fe80::1%lo",
    f"::1%;}} {WORD}\nglobal",
)
PORTS = (70000, 0, -1, 2**31)
NODES = ("..", f"{WORD}\n{TEMPLATE}", f"{WORD}/../..", f"{ESCAPE}{WORD}", WORD + "n" * 300)


def _marks(service: str) -> dict[str, str]:
    return {"autoscale-service": service, "autoscale-version": "1", "autoscale-digest": TEXTS[0]}


def _bodies(service: str, spare_port: int) -> Iterator[dict[str, Any]]:
    """Registrations of instances of a service, each with one thing that is wrong."""
    # Of an agent, which is an ordinary host: what is not wrong is as good as can be.
    numbers = itertools.count(spare_port)

    def body(**wrong: Any) -> dict[str, Any]:
        port = next(numbers)
        return {"ID": f"{service}-app1-{port}", "Address": "127.0.0.1", "Port": port, "Meta": _marks(service), **wrong}

    yield from (body(ID=text) for text in TEXTS)
    yield from (body(Address=address) for address in ADDRESSES)
    yield from (body(Port=port) for port in PORTS)
    yield from (body(Meta={**_marks(service), "autoscale-version": text}) for text in TEXTS[:4])


@contextlib.contextmanager
def hostile_catalog(lab: Lab, service: str, real: str, spare_port: int) -> Iterator[int]:
    """All of it is in the catalog: as instances of a service, as others' services, as nodes, and as checks of an instance.

    Args:
        real: an instance of the service on app1, which is to go on.
        spare_port: from which on ports are free.

    Yields:
        How many pretend to be instances of the service.
    """
    agent = lab.agents["app1"]
    bodies = list(_bodies(service, spare_port))
    foreign: list[dict[str, Any]] = [{"ID": f"foreign-{text}", "Meta": _marks(text)} for text in TEXTS]
    for body in bodies:
        ttl = {"TTL": "600s", "Status": "passing", "Name": TEXTS[0], "Notes": TEXTS[4]}
        put(f"{agent.url}/v1/agent/service/register", json.dumps({"Name": service, "Tags": list(TEXTS), "Check": ttl, **body}))
    for text, body in zip(TEXTS, foreign, strict=True):
        put(f"{agent.url}/v1/agent/service/register", json.dumps({"Name": text, "Tags": list(TEXTS), "Port": 70000, **body}))
    reason = quote("autoscale: " + TEXTS[4])
    put(f"{agent.url}/v1/agent/service/maintenance/{bodies[-1]['ID']}?enable=true&reason={reason}")
    worrying = {"ID": "hostile", "Name": TEXTS[4], "ServiceID": real, "TTL": "600s", "Notes": TEXTS[1]}
    put(f"{agent.url}/v1/agent/check/register", json.dumps(worrying))
    put(f"{agent.url}/v1/agent/check/update/hostile", json.dumps({"Status": "warning", "Output": "\n".join(TEXTS)}))
    for number, node in enumerate(NODES):
        there: dict[str, Any] = {"ID": f"{service}-node-{number}", "Service": service, "Port": spare_port, "Meta": _marks(service)}
        check = {"CheckID": f"c{number}", "Name": TEXTS[4], "ServiceID": there["ID"], "Status": "passing", "Output": TEXTS[4]}
        put(f"{agent.url}/v1/catalog/register", json.dumps({"Node": node, "Address": ADDRESSES[0], "Service": there, "Check": check}))
    count = len(bodies) + len(NODES)
    try:
        wait_until(lambda: _count(lab, service) >= count, "the catalog has all of it")
        yield count
    finally:
        # Not by the agent's API, which takes some of these names for a path.
        agent.kill()
        for file in (agent.folder / "data").glob("*/*"):
            if file.parent.name in ("services", "checks") and file.is_file() and WORD in file.read_text():
                file.unlink()
        agent.start().wait_ready()
        for node in NODES:
            put(f"{agent.url}/v1/catalog/deregister", json.dumps({"Node": node}))
        wait_until(lambda: not _count(lab, service), "the catalog has nothing of it")


def _count(lab: Lab, service: str) -> int:
    entries = json.loads(http_get(f"{lab.consul_url}/v1/catalog/service/{service}?consistent"))
    return sum(1 for entry in entries if WORD in json.dumps([entry["Node"], entry["ServiceMeta"]]) or entry["Node"] in NODES)


def traces(lab: Lab) -> list[str]:
    """Where any of it has come to: files of the balancer, of the hosts' supervisors and instances, command lines, Consul KV."""
    folders = [lab.root / "lb1", *(lab.root / host for host in lab.supervisors)]
    files = [path for folder in folders for path in folder.rglob("*") if "data" not in path.relative_to(folder).parts]
    found = [str(path) for path in files if WORD in path.name or (_is_ours(path) and WORD in path.read_text(errors="replace"))]
    for pid in marked_processes(str(lab.root)):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            found += [command] if WORD in command else []
    found += [entry["Key"] for entry in json.loads(http_get(f"{lab.consul_url}/v1/kv/autoscale/?recurse")) if _holds(lab, entry["Key"])]
    return found


def _is_ours(path: Path) -> bool:
    return path.is_file() and not path.name.startswith("consul")


def _holds(lab: Lab, key: str) -> bool:
    return WORD in key or WORD in http_get(f"{lab.consul_url}/v1/kv/{key}?raw")


def assert_harmless(output: str) -> None:
    """What a run has printed steers no terminal, fakes no line and was no template."""
    assert "\x1b" not in output and "\x9b" not in output and "\u202e" not in output and "\x07" not in output
    assert EVALUATED not in output
    assert not [line for line in output.splitlines() if line.strip().startswith(("http-request return", "global"))]
