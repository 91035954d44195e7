#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""100 scale-ins and 100 scale-outs of instances under load, on HAProxy and on Nginx, against what is usual: what clients see of them.

Ours are the playbooks scale_out and scale_in. The usual way is the playbook in usual/: the whole pool is a template, a handler reloads the
balancer, and what goes is stopped. It has no Consul and no lock, and is quicker for that. Both get the same load and the same instances,
which end at SIGTERM at once, whatever is in flight, as a program does that catches no signal. Fails when a request of ours fails, when
one is reset on HAProxy, or when the balancer counted something else than the load did.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from addresses import claimed_network
from balancers import NAMES, disagreements, reloads, view_of
from descriptions import SHOP, shop
from fleet import pids
from lab import APP_HOSTS, Lab, exit_on_signals
from load import Load, LoadConfig
from plays import play, spread
from processes import wait_until

USUAL = Path(__file__).resolve().parent / "usual" / "scale.yml"
OURS_LISTEN, USUAL_LISTEN, USUAL_PORT = 8410, 8411, 21000
# Five runs each way, of twenty instances each. The usual way has half as many; what counts is the rate.
STAY, STEP, TURNS = 3, 20, 5
RATE, SERVICE_SECONDS, SLOTS = 200, 0.05, 64
MIX = {"post_share": 0.3, "close_share": 0.3, "slow_share": 0.04}
SLOW_SECONDS, PATIENCE_SECONDS = 2.0, 18.0
# Locks as by default: a busy machine may hold a run up for longer than the other benches' last. Nothing is to be forced at the end of a
# drain, whose deadline is longer than the longest answer, and than an idle connection counts as used.
LIMITS = {
    "autoscale_lock_ttl": 60,
    "autoscale_lock_delay": 15,
    "autoscale_max_removals": STEP,
    "autoscale_drain_deadline": 30,
    "autoscale_at_deadline": "fail",
}
OPTIONS = f"--slots {SLOTS} --service-time {SERVICE_SECONDS} --abrupt"


@dataclasses.dataclass
class Seen:
    """What came of the turns.

    Args:
        seconds: of each run, out and in.
        started, ended: processes of instances that came and went.
        sent: the load's result.
        reloads: of the balancer.
        strangers: instances that answered and were never seen.
    """

    seconds: dict[str, list[float]]
    started: int
    ended: int
    sent: dict[str, Any]
    reloads: int
    strangers: list[str]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How often is scaled, and how long a slow request takes."""

    turns: int
    slow: float


def measure(lab: Lab, folder: Path, service: str, listen: int, plan: Plan, scale: Callable[[int], float]) -> Seen:
    """Scale out and in by turns while the load runs; scale(by) returns its seconds."""
    folder.mkdir()
    mix: dict[str, Any] = {**MIX, "slow_seconds": plan.slow, "timeout": plan.slow + PATIENCE_SECONDS}
    load = Load(LoadConfig(lab.address("lb1"), listen, [[0, RATE], [3600, RATE]], **mix), folder)
    seconds: dict[str, list[float]] = {"out": [], "in": []}
    started = ended = 0
    now = pids(lab, service)
    known, reloaded = set(now), reloads_of(lab)
    load.start()
    try:
        wait_until(load.snapshot, "the load begins")
        for _turn in range(plan.turns):
            for name, by in (("out", STEP), ("in", -STEP)):
                before = set(now.values())
                seconds[name].append(scale(by))
                now = pids(lab, service)
                known |= set(now)
                started += len(set(now.values()) - before)
                ended += len(before - set(now.values()))
        sent = load.finish(60)
    finally:
        load.kill()
    return Seen(seconds, started, ended, sent, reloads_of(lab) - reloaded, sorted(set(sent["instances"]) - known))


def reloads_of(lab: Lab) -> int:
    if lab.balancer == "nginx":
        return reloads(lab.nginx.error_log.read_text())
    # Its master says so of the first worker, too.
    return lab.haproxy.log.read_text().count("New worker")


def ours(lab: Lab, folder: Path, plan: Plan) -> tuple[Seen, list[str]]:
    """The playbooks; what was seen, and where the balancer's own counters say something else."""
    service = "ours"
    view = view_of(lab, service, SLOTS)
    described = shop(OURS_LISTEN, scale={"min_replicas": STAY, "max_replicas": STAY + STEP}, deploy={"healthy_deadline": "60s"})
    described["run"]["command"] += f" {OPTIONS}"
    play(lab, folder, "deploy", autoscale_services={service: described}, **LIMITS)
    wait_until(lambda: view.ready() == STAY, "the instances are in rotation")

    def scale(by: int) -> float:
        playbook = "scale_out" if by > 0 else "scale_in"
        seconds, _output = play(lab, folder, playbook, autoscale_service=service, autoscale_count=abs(by), **LIMITS)
        if view.ready() != STAY + max(by, 0):
            raise SystemExit(f"{view.ready()} instances are in rotation after a change by {by}")
        return seconds

    before = view.counters()
    seen = measure(lab, folder / service, service, OURS_LISTEN, plan, scale)
    after = view.counters()
    return seen, disagreements(seen.sent, {name: after[name] - before[name] for name in after})


def usual(lab: Lab, folder: Path, plan: Plan) -> Seen:
    every = [
        {"name": f"usual-{host}-{port}", "host": host, "address": lab.address(host), "port": port}
        for port in range(USUAL_PORT, USUAL_PORT + STAY + STEP)
        for host in APP_HOSTS
    ]

    def scale(by: int) -> float:
        wanted, leaving = every[: STAY + max(by, 0)], every[STAY : STAY + max(-by, 0)]
        given = {"usual_instances": wanted, "usual_leaving": leaving, "usual_listen": USUAL_LISTEN}
        return play(lab, folder, str(USUAL), **given, usual_command=f"{sys.executable} {SHOP} {OPTIONS}")[0]

    scale(0)
    return measure(lab, folder / "usual", "usual", USUAL_LISTEN, plan, scale)


def rows(seen: Seen) -> dict[str, str]:
    """What is printed of one way, by the name of the row."""
    sent = seen.sent
    failed = {name: count for name, count in sent["outcomes"].items() if name not in ("ok", "reset")}
    each = sent["requests_failed"] / max(1, seen.ended)
    return {
        "runs of scale-out, of scale-in": f"{len(seen.seconds['out'])}, {len(seen.seconds['in'])}",
        "instances that came, that went": f"{seen.started}, {seen.ended}",
        "a run of scale-out": spread(seen.seconds["out"]).strip(),
        "a run of scale-in": spread(seen.seconds["in"]).strip(),
        "requests, of them POST": f"{sent['requests_total']}, {sent['requests_post']}",
        "failed": f"{sent['requests_failed']}" + (f" {failed}".replace("'", "") if failed else ""),
        "failed for each that went": f"{each:.2f}",
        "resets": str(sent["resets"]),
        "reloads x open connections": f"{seen.reloads} x {sent['connections_most']}",
        "p50, p99, worst": ", ".join(f"{sent[name]:.3f} s" for name in ("p50_seconds", "p99_seconds", "max_seconds")),
        "load's own lag, p99": f"{sent['lag_seconds_p99']:.3f} s",
    }


def problems_of(seen: Seen, differences: list[str], balancer: str, turns: int) -> list[str]:
    """The bars that ours missed."""
    problems = list(differences)
    if seen.sent["requests_failed"]:
        problems.append(f"{seen.sent['requests_failed']} requests failed, such as {seen.sent['examples'][:3]}")
    allowed = seen.reloads * seen.sent["connections_most"] if balancer == "nginx" else 0
    if seen.sent["resets"] > allowed:
        problems.append(f"{seen.sent['resets']} requests were reset, {allowed} are allowed")
    if balancer == "haproxy" and seen.reloads:
        problems.append(f"HAProxy was reloaded {seen.reloads} times")
    if (seen.started, seen.ended) != (turns * STEP, turns * STEP):
        problems.append(f"{seen.started} instances came and {seen.ended} went in place of {turns * STEP}")
    if seen.strangers:
        problems.append(f"answers came from {seen.strangers}")
    return problems


def table(left: Mapping[str, str], right: Mapping[str, str]) -> None:
    for name in left:
        print(f"  {name:32} {left[name]:38} {right[name]}", flush=True)


def compare(balancer: str, plan: Plan) -> list[str]:
    """Both ways on one balancer, one after the other on the same lab; the bars that ours missed."""
    root = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    try:
        with claimed_network() as net, Lab(root, net, balancer=balancer) as lab:
            mine, differences = ours(lab, folder, plan)
            others = usual(lab, folder, dataclasses.replace(plan, turns=max(1, plan.turns // 2)))
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    table({f"on {NAMES[balancer]}": "ours", **rows(mine)}, {f"on {NAMES[balancer]}": "template, reload, stop", **rows(others)})
    problems = problems_of(mine, differences, balancer, plan.turns)
    resets = "no reset" if balancer == "haproxy" else "resets within reloads x open connections"
    bar = f"bar: ours without a failed request, {resets}, and the balancer counted the same"
    print("\n".join([f"{bar}: {'MISSED' if problems else 'reached'}", *(f"  {problem}" for problem in problems)]), flush=True)
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=TURNS, help=f"runs of each playbook, with {STEP} instances each")
    parser.add_argument("--balancer", choices=NAMES, action="append", help="one of them only")
    parser.add_argument("--slow", type=float, default=SLOW_SECONDS, help="seconds of a slow request")
    options = parser.parse_args()
    exit_on_signals()
    print(
        f"scale-outs and scale-ins by {STEP} beside {STAY} that stay, {RATE} requests/s of {SERVICE_SECONDS:g} s, "
        f"{MIX['slow_share']:.0%} of {options.slow:g} s, {MIX['post_share']:.0%} POST, {MIX['close_share']:.0%} on connections of "
        f"their own, no retries, {os.cpu_count()} cores",
        flush=True,
    )
    missed = [problem for balancer in options.balancer or NAMES for problem in compare(balancer, Plan(options.turns, options.slow))]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
