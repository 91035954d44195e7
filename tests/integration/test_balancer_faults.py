# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A balancer that is killed while its pool is changed, and a disk that is full: no file is half written, and the service is there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_balancer import Balancer
from places import SEED
from processes import HAProxy, Nginx, wait_until

Start = Callable[..., subprocess.Popen[bytes]]
Call = Callable[..., dict[str, Any]]

FILES = {"haproxy": "{service}.cfg", "nginx": "autoscale_{service}.conf"}
# Seconds after the first write of a change; `make faults` has all of them.
MOMENTS = (0.0, 0.05, 0.2, 0.8)
_DRAWN = random.Random(SEED).choice(MOMENTS)
_EVERY = [pytest.param(_DRAWN, id="drawn"), *(pytest.param(moment, marks=pytest.mark.faults, id=f"{moment:g}s") for moment in MOMENTS)]


def text_of(balancer: Balancer, service: str) -> str:
    return (balancer.process.config_dir / FILES[balancer.kind].format(service=service)).read_text()


def hidden(balancer: Balancer) -> list[str]:
    """What is left of a transaction."""
    return [path.name for path in balancer.process.config_dir.iterdir() if path.name.startswith(".")]


@pytest.fixture(params=list(FILES))
def balancer(request: pytest.FixtureRequest, haproxy: HAProxy, nginx: Nginx, run_module: Call) -> Iterator[Balancer]:
    """It runs at the end, too, and has no pool then."""
    process = {"haproxy": haproxy, "nginx": nginx}[request.param]
    yield Balancer(request.param, process, run_module)
    process.stop()
    for path in process.config_dir.iterdir():
        path.unlink()
    process.start().wait_ready()


@pytest.mark.parametrize("moment", _EVERY)
def test_a_balancer_that_is_killed_in_a_change_comes_back_with_a_whole_file(
    balancer: Balancer, start_module: Start, shops: list[str], moment: float
) -> None:
    """By itself, as soon as whoever keeps it (systemd) starts it; and the next run finishes the change."""
    print(f"AUTOSCALE_TEST_SEED={SEED}: killed {moment:g} s after the first write")
    balancer.applied(*shops[:2])
    before = text_of(balancer, "shop")
    wanted = balancer.pool(*shops[1:4], timeouts={"client": 30})
    written = balancer.process.config_dir.stat().st_mtime_ns
    run = start_module(balancer.module, balancer.parameters(wanted, on_error="report", reload_timeout=5))
    wait_until(lambda: balancer.process.config_dir.stat().st_mtime_ns != written or run.poll() is not None, "the run writes")
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(moment)
    balancer.process.kill()
    told = json.loads(run.communicate(timeout=60)[0])
    assert told.get("failures") == [] or "exception" not in told, told
    left = text_of(balancer, "shop")

    balancer.process.start().wait_ready()
    assert balancer.instance() in shops[:4]

    done = balancer.bring_in(wanted)
    assert done["failures"] == []
    assert {balancer.instance() for _turn in range(12)} == set(shops[1:4])
    after = text_of(balancer, "shop")
    old, new, seen = (set(text.splitlines()) for text in (before, after, left))
    assert old & new <= seen <= old | new, f"half a file:\n{left}"
    assert not balancer.bring_in(wanted)["changed"] and not hidden(balancer)


@pytest.fixture(params=list(FILES))
def small(request: pytest.FixtureRequest, network: str, folder: Path, run_module: Call) -> Iterator[Balancer]:
    """A balancer of which all files lie on a disk of 256 KiB of their own."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    own = folder / f"small-{request.param}"
    own.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(own)], check=True)
    try:
        process = (
            HAProxy(f"{network}.23", own, lab=str(folder)) if request.param == "haproxy" else Nginx(f"{network}.24", own, lab=str(folder))
        )
        with process:
            yield Balancer(request.param, process, run_module)
    finally:
        subprocess.run(["umount", "--lazy", str(own)], check=True)
        own.rmdir()


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all space of the disk but for so many pages."""
    path, page = disk / "filler", os.sysconf("SC_PAGE_SIZE")
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(page))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - leave * page))
    return path


@pytest.mark.parametrize("leave", [0, 2, *(pytest.param(pages, marks=pytest.mark.faults) for pages in (1, 3, 4))])
def test_on_a_full_disk_the_files_are_whole_and_the_service_goes_on(small: Balancer, shops: list[str], leave: int) -> None:
    """Two services at once, one of them new. With more pages left a change gets further, and waits there for the next run."""
    small.applied(*shops[:2])
    before = text_of(small, "shop")
    wanted = (small.pool(*shops[1:4], timeouts={"client": 30}), small.pool(shops[0], service="bank", port=small.port + 1))
    filler = fill(small.process.folder, leave)
    tried = small.bring_in(*wanted, on_error="report")
    failed = {failure["service"] for failure in tried["failures"]}
    assert failed == {"shop", "bank"} if leave == 0 else failed <= {"shop", "bank"}
    assert all("No space left on device" in failure["error"] for failure in tried["failures"]), tried["failures"]
    assert not hidden(small)
    if leave == 0:
        assert text_of(small, "shop") == before and tried["reloads"] == 0
        assert {small.instance() for _turn in range(12)} == set(shops[:2])
    assert {small.instance() for _turn in range(12)} <= (set(shops) if "shop" in failed else set(shops[1:4]))
    filler.unlink()
    assert small.bring_in(*wanted)["failures"] == []
    assert {small.instance() for _turn in range(12)} == set(shops[1:4])
    assert not small.bring_in(*wanted)["changed"] and not hidden(small)


def test_on_a_full_disk_servers_alone_are_left_as_they_are(small: Balancer, shops: list[str]) -> None:
    """Which HAProxy would change without a reload: its file comes first."""
    small.applied(*shops[:2])
    before = text_of(small, "shop")
    filler = fill(small.process.folder, 0)
    tried = small.bring_in(small.pool(*shops[1:4]), on_error="report")
    assert tried["failures"] and not tried["changed"] and not hidden(small)
    assert text_of(small, "shop") == before and {small.instance() for _turn in range(12)} == set(shops[:2])
    filler.unlink()
    small.applied(*shops[1:4])
    assert {small.instance() for _turn in range(12)} == set(shops[1:4])


def test_on_a_full_disk_what_a_killed_run_left_is_not_taken_for_settled(small: Balancer, shops: list[str]) -> None:
    """Its process may have another configuration than the file that is put back: until a reload the mark stays."""
    first = small.pool(*shops[:2])
    small.bring_in(first)
    file = small.process.config_dir / FILES[small.kind].format(service="shop")
    mark = file.with_name(f".{file.name}.before")
    os.link(file, mark)
    filler = fill(small.process.folder, 0)
    tried = small.bring_in(small.pool(*shops[1:4], timeouts={"client": 30}), on_error="report")
    assert tried["failures"]
    # Nginx needs no space for a reload, HAProxy writes its servers' state.
    assert mark.exists() == (small.kind == "haproxy")
    filler.unlink()
    assert small.bring_in(first)["reloads"] == (small.kind == "haproxy") and not hidden(small)
    assert {small.instance() for _turn in range(12)} == set(shops[:2])
