#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo`: a flash crowd meets a small web service, with autoscaling and then without.

Starts the local lab, deploys the shop with two replicas, sends it open-loop load and reruns the playbook reconcile by a timer.
Shows what happens while it happens, and writes build/demo/summary.json and build/demo/report.html. Fails when a request failed,
when its own count and the balancer's differ, or when the replicas did not follow the load. BALANCER=nginx shows it on Nginx.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from addresses import claimed_network
from balancers import NAMES, disagreements, view_of
from lab import CLONE, Lab, default_balancer, exit_on_signals
from load import Load, LoadConfig
from processes import http_get, wait_until

OUT = CLONE / "build" / "demo"
SERVICE = "shop"
PORT = 8080
REPLICAS, MOST_REPLICAS = 2, 8
# One replica's capacity: 4 slots of 0.1 s are 40 requests per second.
SLOTS, SERVICE_TIME = 4, 0.1
BASE, CROWD = 20, 120
TIMER_SECONDS = 5.0
METRICS_WINDOW = 5
ROW_SECONDS = 2.0
# Begins each run's part of a log.
RUN_MARK = "---"

# (name, seconds, rate at its end); the rate at the start is BASE. What has to wait behind Nginx does so inside the instances, where a new
# replica does not help it: the rise is slow enough for one to come in time, also on a busy machine.
SCALED = [("base", 6, BASE), ("rise", 30, CROWD), ("peak", 18, CROWD), ("fall", 4, BASE), ("after", 70, BASE)]
# "after" ends as soon as the replicas have been back for this long.
AFTER_SECONDS = 5.0
# Short enough that no request waits until it times out.
UNSCALED = [("base", 6, BASE), ("rise", 30, CROWD), ("peak", 10, CROWD), ("fall", 2, BASE), ("drain", 9, BASE)]


class DemoFailed(Exception):
    """The demo did not show what it has to show; the text says why."""


# Pure parts.


def points_of(plan: Sequence[tuple[str, float, float]]) -> list[list[float]]:
    """The load's points (seconds, rate) of a plan of phases."""
    points = [[0.0, float(BASE)]]
    for _name, seconds, rate in plan:
        points.append([points[-1][0] + seconds, float(rate)])
    return points


def phases_of(plan: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """(name, start, end) of a plan of phases, in seconds from the start."""
    phases = []
    start = 0.0
    for name, seconds, _rate in plan:
        phases.append((name, start, start + seconds))
        start += seconds
    return phases


def changes_of(desired: Sequence[int], start: int) -> tuple[int, int]:
    """How often the desired replicas rose and fell; a decision that is logged twice counts once."""
    steps = [after - before for before, after in zip([start, *desired], desired, strict=False)]
    return sum(step > 0 for step in steps), sum(step < 0 for step in steps)


def failure_in(log: str, most: int = 60) -> str:
    """The last run's output from its first error on, or its end when it names none."""
    lines = log.rsplit(f"\n{RUN_MARK}", 1)[-1].splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith(("[ERROR]", "ERROR", "fatal:"))), len(lines) - 40)
    return "\n".join(lines[max(0, first) :][:most])


def problems_of(summary: Mapping[str, Any], replicas_end: int) -> list[str]:
    """Everything for which the demo fails."""
    problems = []
    if summary["requests_failed"]:
        problems.append(f"{summary['requests_failed']} requests failed: {summary['outcomes']}")
    if summary["resets"] > summary["resets_allowed"]:
        problems.append(f"{summary['resets']} requests were reset, {summary['resets_allowed']} are allowed: {summary['outcomes']}")
    problems += disagreements(summary, summary["balancer"])
    if summary["scale_outs"] < 2 or summary["scale_ins"] < 1:
        problems.append(f"{summary['scale_outs']} scale-outs and {summary['scale_ins']} scale-ins happened: at least 2 and 1 are expected")
    if summary["replicas_max"] < 2 * summary["replicas_min"]:
        problems.append(f"{summary['replicas_max']} replicas at most are less than twice the {summary['replicas_min']} at least")
    if replicas_end != REPLICAS:
        problems.append(f"{replicas_end} replicas are ready at the end, it began with {REPLICAS}")
    scaled, unscaled = summary["p95_seconds_peak"] or 0, summary["p95_seconds_peak_unscaled"] or 0
    if unscaled < 2 * scaled:
        problems.append(f"without scaling the peak's p95 of {unscaled:.2f} s is not clearly above the {scaled:.2f} s with it")
    return problems


# Ansible.


class Ansible:
    """Runs the collection's playbooks against the lab; all their output goes to build/demo/<name>.log."""

    def __init__(self, lab: Lab) -> None:
        self._environment = {
            **os.environ,
            **lab.environment,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            # Files of a run that was ended go away with the lab.
            "ANSIBLE_HOME": str(lab.root / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(lab.root / "ansible" / "remote"),
        }
        self._running: subprocess.Popen[bytes] | None = None

    def playbook(self, name: str, variables: Mapping[str, Any] | None = None) -> None:
        """Run one playbook of the collection, or raise DemoFailed with the end of its log."""
        log = OUT / f"{name}.log"
        shared = {"autoscale_decision_log": str(OUT / "decisions.jsonl"), "autoscale_metrics_window": METRICS_WINDOW, **(variables or {})}
        arguments = OUT / f"{name}.vars.json"
        arguments.write_text(json.dumps(shared, indent=2))
        program = Path(sys.executable).with_name("ansible-playbook")
        with log.open("ab") as out:
            out.write(f"\n{RUN_MARK} {time.strftime('%H:%M:%S')} microservices.autoscale.{name}\n".encode())
            out.flush()
            # A session of its own: Ctrl-C goes to the demo alone, which ends this with everything it started.
            self._running = subprocess.Popen(
                [str(program), f"microservices.autoscale.{name}", "-e", f"@{arguments}"],
                cwd=OUT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = self._running.wait()
        if code != 0:
            raise DemoFailed(f"the playbook {name} ended with {code}; from {log}:\n{failure_in(log.read_text(errors='replace'))}")

    def end(self) -> None:
        """End a playbook that still runs, with its children."""
        if self._running and self._running.poll() is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._running.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._running.wait(5)
                    return


class Timer:
    """Reruns reconcile in a thread: the next run starts when the last has ended, and not before TIMER_SECONDS after its start."""

    def __init__(self, ansible: Ansible) -> None:
        self._ansible = ansible
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self.runs = 0
        self.error: DemoFailed | None = None

    def start(self) -> None:
        self._thread.start()

    def _loop(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._ansible.playbook("reconcile")
            except DemoFailed as error:
                if not self._stop.is_set():
                    self.error = error
                return
            self.runs += 1
            self._stop.wait(max(0.0, started + TIMER_SECONDS - time.monotonic()))

    def check(self) -> None:
        """Raise what ended the timer."""
        if self.error:
            raise self.error

    def finish(self) -> None:
        """Start no further run and wait for the one under way."""
        self._stop.set()
        self._thread.join()
        self.check()

    def abort(self) -> None:
        """End also the run under way."""
        self._stop.set()
        while True:
            self._ansible.end()
            if not self._thread.is_alive():
                return
            self._thread.join(0.2)


# What is shown.


class Decisions:
    """Follows the decision log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def since(self, moment: float) -> list[dict[str, Any]]:
        """The decisions about the service from a moment on, oldest first; a line that is not whole yet is left for the next time."""
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in entries if entry["service"] == SERVICE and entry["time"] >= moment]


class Table:
    """The live table: a row each ROW_SECONDS, and at once when the desired or the ready replicas change."""

    HEAD = "  time   load     p95      desired  ready             why"

    def __init__(self, decisions: Decisions | None, started: float) -> None:
        self._decisions = decisions
        self._started = started
        self._printed = 0.0
        self._shown: tuple[Any, ...] = ()
        self._reason = ""
        say(self.HEAD)

    def update(self, snapshot: Mapping[str, Any] | None, ready: int) -> None:
        """Print a row when there is something to say."""
        if snapshot is None:
            return
        last = self._last_decision()
        desired = last["desired_replicas"] if last else REPLICAS
        changed = (desired, ready) != self._shown
        if not changed and time.monotonic() < self._printed + ROW_SECONDS:
            return
        reason = last["reason"] if last and last["desired_replicas"] != last["current_replicas"] else ""
        words = reason if reason != self._reason else ""
        self._reason = reason or self._reason
        p95 = "-" if snapshot["p95_seconds"] is None else f"{snapshot['p95_seconds']:.2f} s"
        clock = int(time.time() - self._started)
        bar = "#" * ready + "." * max(0, desired - ready)
        row = f"  {clock // 60}:{clock % 60:02d}  {snapshot['rate']:4.0f}/s  {p95:>8}   {desired:4d}   {ready:4d}  {bar:<10}  {words}"
        say(row.rstrip())
        self._printed, self._shown = time.monotonic(), (desired, ready)

    def _last_decision(self) -> dict[str, Any] | None:
        entries = self._decisions.since(self._started) if self._decisions else []
        return entries[-1] if entries else None


def say(text: str = "") -> None:
    print(text, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done and how long it took."""
    started = time.monotonic()
    print(f"{text} ...", end="", flush=True)
    try:
        yield
    except BaseException:
        say(" failed")
        raise
    say(f" {time.monotonic() - started:.1f} s")


# The demo.


def pack_artifact() -> dict[str, str]:
    """Pack the shop as the artifact that is deployed: its URL and checksum."""
    artifact = OUT / "shop-1.0.0.tar.gz"
    with tarfile.open(artifact, "w:gz") as archive:
        archive.add(CLONE / "tests" / "lab" / "shop" / "shop.py", "shop.py")
    return {"url": artifact.as_uri(), "checksum": f"sha256:{hashlib.sha256(artifact.read_bytes()).hexdigest()}"}


def description(balance: Mapping[str, Any]) -> dict[str, Any]:
    """The service as its user describes it; `balance` is what suits the balancer."""
    options = "--address {address} --port {port} --instance {instance} --version {version}"
    return {
        "version": "1.0.0",
        "run": {
            "provider": "supervisor",
            "artifact": pack_artifact(),
            "command": f"{sys.executable} {{path}}/shop.py {options} --slots {SLOTS} --service-time {SERVICE_TIME}",
        },
        "hosts": "app",
        "port_range": "20000-20099",
        "check": {"http": "/healthz", "interval": "1s", "timeout": "1s"},
        "balance": {"listen": PORT, "algorithm": "least_conn", **balance},
        "scale": {
            "min_replicas": REPLICAS,
            "max_replicas": MOST_REPLICAS,
            "metrics": [
                {"type": "requests", "target": {"type": "average_value", "value": 15}},
                {"type": "response_time", "target": {"type": "value", "value": 1}},
            ],
            "behavior": {"scale_down": {"stabilization_window_seconds": 10}},
        },
    }


class Demo:
    """The demo in a running lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._balancer = view_of(lab, SERVICE, SLOTS)
        self._ansible = Ansible(lab)
        self._timer = Timer(self._ansible)
        self._load: Load | None = None
        self._ready: list[int] = []
        self._decisions = Decisions(OUT / "decisions.jsonl")

    def run(self, started: float) -> dict[str, Any]:
        """Everything from the first playbook to the report; returns the summary."""
        with step("prepare the metrics"):
            self._ansible.playbook("prepare")
        with step(f"deploy {SERVICE} with {REPLICAS} replicas"):
            self._ansible.playbook("deploy", {"autoscale_services": {SERVICE: description(self._balancer.balance)}})
        with step("wait for the first measurements"):
            # What is measured at a balancer may begin with the first request.
            wait_until(lambda: http_get(f"http://{self._lab.address('lb1')}:{PORT}/work?nonce=first"), f"{SERVICE} answers")
            wait_until(self._measured, f"Prometheus has the instances of {SERVICE}", 30)
        before = self._balancer.counters()

        say(f"\n{SERVICE} with autoscaling: {BASE} requests/s, a flash crowd of {CROWD}, and back")
        self._timer.start()
        scaled = self._phase("scaled", SCALED, self._decisions, until=self._settled)
        self._timer.finish()
        scaled_ready, replicas_end = list(self._ready), self._balancer.ready()

        say(f"\nthe same without: {REPLICAS} replicas, whatever comes")
        unscaled = self._phase("unscaled", UNSCALED, None)
        after = self._balancer.counters()

        desired = [entry["desired_replicas"] for entry in self._decisions.since(scaled["started"])]
        outs, ins = changes_of(desired, REPLICAS)
        say()
        with step("draw the report"):
            self._report(scaled, unscaled)
        counted = ("requests_total", "requests_post", "requests_failed", "requests_5xx", "resets")
        counters = {name: after[name] - before[name] for name in after}
        summary = {
            "balancer_kind": self._lab.balancer,
            **{key: scaled[key] + unscaled[key] for key in counted},
            "outcomes": dict(collections.Counter(scaled["outcomes"]) + collections.Counter(unscaled["outcomes"])),
            "replicas_min": min(scaled_ready),
            "replicas_max": max(scaled_ready),
            "replicas_end": replicas_end,
            "scale_outs": outs,
            "scale_ins": ins,
            "p95_seconds_before": scaled["phases"]["base"]["p95_seconds"],
            "p95_seconds_peak": scaled["phases"]["peak"]["p95_seconds"],
            "p95_seconds_after": scaled["phases"]["after"]["p95_seconds"],
            "p95_seconds_peak_unscaled": unscaled["phases"]["peak"]["p95_seconds"],
            "duration_seconds": round(time.monotonic() - started, 1),
            "reconcile_runs": self._timer.runs,
            "balancer": counters,
            # A reload of Nginx closes each idle connection of a client once, maybe while a request is on its way; HAProxy hands over.
            # Without scaling there are no reloads.
            "resets_allowed": counters.get("reloads", 0) * scaled["connections_most"],
        }
        summary["problems"] = problems_of(summary, replicas_end)
        return summary

    def end(self) -> None:
        """End what is under way; for every exit."""
        if self._load:
            self._load.kill()
        self._timer.abort()
        self._ansible.end()

    def _phase(
        self, name: str, plan: Sequence[tuple[str, float, float]], decisions: Decisions | None, until: Callable[[], bool] | None = None
    ) -> dict[str, Any]:
        """Send one load and show it; `until` is asked whether the rest may be left out."""
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        phases = phases_of(plan)
        self._load = Load(LoadConfig(self._lab.address("lb1"), PORT, points_of(plan), phases=phases), folder)
        self._load.start()
        table = Table(decisions, time.time())
        while self._load.running:
            self._timer.check()
            ready = self._balancer.ready()
            self._ready.append(ready)
            snapshot = self._load.snapshot()
            table.update(snapshot, ready)
            if until and snapshot and snapshot["elapsed"] > phases[-1][1] + AFTER_SECONDS and until():
                return self._load.finish(90)
            time.sleep(0.25)
        return self._load.wait()

    def _settled(self) -> bool:
        """Whether the replicas have been back for as long as "after" is to be measured."""
        recent = self._ready[-int(AFTER_SECONDS / 0.25) :]
        return set(recent) == {REPLICAS}

    def _measured(self) -> bool:
        query = urllib.parse.urlencode({"query": self._balancer.measured(REPLICAS)})
        return bool(json.loads(http_get(f"{self._lab.prometheus.url}/api/v1/query?{query}"))["data"]["result"])

    def _report(self, scaled: Mapping[str, Any], unscaled: Mapping[str, Any]) -> None:
        windows = [
            self._window("with scaling", "scaled", SCALED, scaled),
            self._window("without scaling", "unscaled", UNSCALED, unscaled),
        ]
        variables = {"autoscale_service": SERVICE, "report_dest": str(OUT / "report.html"), "report_windows": windows}
        self._ansible.playbook("report", variables)

    @staticmethod
    def _window(label: str, name: str, plan: Sequence[tuple[str, float, float]], result: Mapping[str, Any]) -> dict[str, Any]:
        series = OUT / name / "p95.json"
        series.write_text(json.dumps([[at, p95] for at, _rate, p95 in result["series"]]))
        start, end = result["started"], result["started"] + result["duration_seconds"]
        phases = [
            {"label": phase, "start": str(start + first), "end": str(min(start + last, end))}
            for phase, first, last in phases_of(plan)
            if start + first < end
        ]
        return {"label": label, "start": str(start), "end": str(end), "phases": phases, "client_series": str(series)}


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary["balancer"].items() if count or name == "5xx")
    say(
        f"\n  requests        {summary['requests_total']} ({summary['requests_post']} POST), "
        f"{summary['requests_failed']} failed, {summary['resets']} resets"
        f"\n  {NAMES[summary['balancer_kind']]:<14}  {counted}"
        f"\n  replicas        {summary['replicas_min']} to {summary['replicas_max']}, {summary['replicas_end']} at the end; "
        f"{summary['scale_outs']} scale-outs, {summary['scale_ins']} scale-ins in {summary['reconcile_runs']} runs of reconcile"
        f"\n  p95             {seconds(summary['p95_seconds_before'])} before, {seconds(summary['p95_seconds_peak'])} in the peak, "
        f"{seconds(summary['p95_seconds_after'])} after; in the peak without scaling {seconds(summary['p95_seconds_peak_unscaled'])}"
        f"\n  took            {summary['duration_seconds']:.0f} s"
        f"\n\n  {OUT / 'summary.json'}\n  {OUT / 'report.html'}"
    )


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def clean_out() -> None:
    """Start with an empty folder, so that nothing of an earlier demo is taken for this one's."""
    OUT.mkdir(parents=True, exist_ok=True)
    for path in [*OUT.glob("*.log"), *OUT.glob("*.json"), *OUT.glob("*.jsonl"), *OUT.glob("*.html")]:
        path.unlink()


def main() -> int:
    exit_on_signals()
    started = time.monotonic()
    clean_out()
    try:
        with contextlib.ExitStack() as stack:
            # A short path: unix sockets live in it.
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autoscale-demo-", ignore_cleanup_errors=True)))
            net = stack.enter_context(claimed_network())
            balancer = os.environ.get("BALANCER") or default_balancer()
            with step(f"start the lab (Consul, {NAMES.get(balancer, balancer)}, Prometheus, two hosts) on {net}.0/24"):
                lab = stack.enter_context(Lab(root, net, balancer=balancer))
            demo = Demo(lab)
            stack.callback(demo.end)
            summary = demo.run(started)
    except (DemoFailed, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        say(f"\nThe demo failed: {error}")
        return 1
    (OUT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    for problem in summary["problems"]:
        say(f"\nThe demo failed: {problem}")
    return 1 if summary["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
