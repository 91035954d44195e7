#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a step in the load to a new instance that serves, on the hosts lab, with a timer of 15 s.

The step comes at another moment of the timer's period each time, so that the worst case is among them. Where the time goes: until
Prometheus shows enough of the step (scrape and window), until the timer starts the run that acts, from there to the module that starts
the instance (reconcile: look, lock, look again), and from there to its first answer (start: unpack, start, healthy, in rotation).
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from descriptions import shop_on_hosts
from hosts import HostsLab
from load import Load, LoadConfig
from onhosts import remove, serving
from plays import play, spread, start
from processes import wait_until
from prometheus_view import rate_of

SERVICE, LISTEN = "bench-out", 8401
TURNS, TIMER_SECONDS = 10, 15.0
BAR_SECONDS = 30.0
# One instance bears 40 requests per second; the target is 15.
LOW, HIGH, TARGET = 5, 28, 15
STARTING = re.compile(r"^TASK \[microservices\.autoscale\.instance : Start instances\] ", re.MULTILINE)


class Timer:
    """Starts reconcile every 15 s, like a systemd timer: never two at once."""

    def __init__(self, lab: HostsLab, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        self._stop = threading.Event()
        self.origin = time.monotonic()
        # (when it began, when its first instance was being started; None when it started none)
        self.runs: list[tuple[float, float | None]] = []
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        number = 0
        while not self._stop.wait(max(0.0, self.origin + number * TIMER_SECONDS - time.monotonic())):
            log = self._folder / f"reconcile-{number}.log"
            began, starting = time.monotonic(), None
            process = start(self._lab, self._folder, "reconcile", {"autoscale_only": [SERVICE]}, log)
            while process.poll() is None:
                if starting is None and STARTING.search(log.read_text(errors="replace")):
                    starting = time.monotonic()
                    self.runs.append((began, starting))
                time.sleep(0.05)
            if process.returncode:
                raise SystemExit(f"reconcile failed:\n{log.read_text(errors='replace')[-3000:]}")
            number = int((time.monotonic() - self.origin) // TIMER_SECONDS) + 1

    def until_phase(self, seconds: float) -> None:
        """Wait for this moment of the period."""
        time.sleep((self.origin + seconds - time.monotonic()) % TIMER_SECONDS)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def turn(lab: HostsLab, folder: Path, timer: Timer, phase: float) -> dict[str, float]:
    """One step; the seconds of each part and their sum."""
    wait_until(lambda: len(serving(lab, SERVICE)) == 1 and rate_of(lab.prometheus_url, SERVICE) < TARGET, "it is quiet", 180)
    timer.until_phase(phase)
    folder.mkdir()
    load = Load(LoadConfig(lab.address("lb1"), LISTEN, [[0, HIGH], [90, HIGH]]), folder)
    load.start()
    try:
        wait_until(load.snapshot, "the load begins")
        stepped = time.monotonic() - (load.snapshot() or {"elapsed": 0.0})["elapsed"]
        # The HPA's tolerance is a tenth.
        wait_until(lambda: rate_of(lab.prometheus_url, SERVICE) > TARGET * 1.1, "Prometheus shows it", 60)
        seen = time.monotonic()
        wait_until(lambda: len(serving(lab, SERVICE)) > 1, "a new instance serves", 120)
        served = time.monotonic()
    finally:
        load.finish(60)
    began, starting = next((began, starting) for began, starting in reversed(timer.runs) if starting and began < served)
    # A run that began before Prometheus was asked may have seen it first.
    seen = min(seen, began)
    return {
        "scrape": seen - stepped,
        "timer": began - seen,
        "reconcile": (starting or began) - began,
        "start": served - (starting or began),
        "all": served - stepped,
    }


def main() -> None:
    lab = HostsLab().up()
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    behavior = {"scale_down": {"stabilization_window_seconds": 0}}
    scale = {"min_replicas": 1, "max_replicas": 4, "metrics": [{"requests": TARGET}], "behavior": behavior}
    described = shop_on_hosts(lab, LISTEN, ports="24000-24099", scale=scale)
    print(f"load step to new instance serving, a timer of {TIMER_SECONDS:g} s, scraped every second, rates over 10 s", flush=True)
    play(lab, folder, "prepare")
    play(lab, folder, "deploy", autoscale_services={SERVICE: described})
    low = Load(LoadConfig(lab.address("lb1"), LISTEN, [[0, LOW], [3000, LOW]]), folder)
    low.start()
    timer = Timer(lab, folder)
    turns = []
    try:
        for number in range(TURNS):
            turns.append(turn(lab, folder / f"turn-{number}", timer, number * TIMER_SECONDS / TURNS))
            parts = "  ".join(f"{name} {turns[-1][name]:4.1f}" for name in ("scrape", "timer", "reconcile", "start"))
            print(f"  {number + 1:2}  {turns[-1]['all']:5.1f} s  = {parts}", flush=True)
    finally:
        timer.end()
        result = low.finish(60)
        remove(lab, folder, SERVICE)
    every = [one["all"] for one in turns]
    for part in ("scrape", "timer", "reconcile", "start"):
        share = statistics.mean(one[part] for one in turns) / statistics.mean(every)
        print(f"  {part:10} {spread(one[part] for one in turns)}  {share:4.0%}")
    print(f"worst {max(every):.1f} s, median {statistics.median(every):.1f} s; {result['requests_failed']} requests failed")
    print(f"bar: worst at most {BAR_SECONDS:g} s: {'reached' if max(every) <= BAR_SECONDS else 'MISSED'}")


if __name__ == "__main__":
    main()
