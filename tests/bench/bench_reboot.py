#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application host reboots under load, in order and by losing its power: what is lost, and how long until all is well again."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from descriptions import shop_on_hosts
from fleet import instances, rotation
from hosts import HostsLab
from load import Load, LoadConfig
from onhosts import remove
from plays import play
from processes import wait_until

SERVICE, LISTEN, RATE = "bench-boot", 8402, 40
REPLICAS = 3
VICTIM = "app2"
# What a machine takes to start; a container takes none.
DOWN_SECONDS = 10


def is_well(lab: HostsLab) -> bool:
    return list(instances(lab, SERVICE).values()) == ["passing"] * REPLICAS and len(rotation(lab, SERVICE)) == REPLICAS


def measure(lab: HostsLab, folder: Path, name: str, take_down: Callable[[str], None]) -> None:
    folder.mkdir()
    load = Load(LoadConfig(lab.address("lb1"), LISTEN, [[0, RATE], [240, RATE]]), folder)
    load.start()
    try:
        wait_until(lambda: (load.snapshot() or {}).get("sent", 0) > 100, "the load runs")
        began = time.monotonic()
        take_down(VICTIM)
        down = time.monotonic()
        wait_until(lambda: not is_well(lab), "the reboot is seen", 30)
        time.sleep(max(0.0, down + DOWN_SECONDS - time.monotonic()))
        lab.boot(VICTIM)
        booted = time.monotonic()
        wait_until(lambda: is_well(lab), "all is well again", 120)
        well = time.monotonic()
        # Nothing is left to do for anybody.
        _seconds, output = play(lab, folder, "reconcile", autoscale_only=[SERVICE])
        if "changed=1" in output:
            raise SystemExit(f"reconcile had something to do:\n{output}")
    finally:
        result: dict[str, Any] = load.finish(60)
    print(
        f"  {name:10} {result['requests_total']} requests, {result['requests_post']} POST: {result['requests_failed']} failed, "
        f"{result['resets']} resets {result['outcomes']}; down after {down - began:.1f} s, started after {booted - began:.1f} s, "
        f"all well {well - began:.1f} s after the beginning",
        flush=True,
    )


def main() -> None:
    lab = HostsLab().up()
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    print(f"a reboot of one of three hosts that takes {DOWN_SECONDS} s, at {RATE} requests/s, three instances", flush=True)
    scale = {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    # Longer than the reboot: nothing is replaced meanwhile.
    check = {"http": "/healthz", "interval": "1s", "timeout": "1s", "grace": "60s"}
    play(lab, folder, "deploy", autoscale_services={SERVICE: shop_on_hosts(lab, LISTEN, ports="24100-24199", scale=scale, check=check)})
    try:
        measure(lab, folder / "in-order", "in order", lab.shut_down)
        measure(lab, folder / "power", "power lost", lab.kill)
    finally:
        lab.boot(VICTIM)
        remove(lab, folder, SERVICE)


if __name__ == "__main__":
    main()
