# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's mtail program in a real mtail, which reads lines as Nginx writes them; what the role balancer sets for it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Mtail, Process, find_program, http_get, wait_until

SAMPLE = re.compile(r"^(nginx_\w+)\{(.*)\} (\S+)$", re.MULTILINE)
REQUESTS = ("service_http_requests_total",)
ROLE = Path(__file__).resolve().parents[2] / "roles" / "balancer"


def line(service: str, instance: str = "shop-app1-20000", status: str = "200", seconds: str = "0.104", **changes: str) -> str:
    fields = {"service": service, "instance": instance, "upstream": "192.0.2.11:20000", "method": "GET", "status": status}
    return json.dumps({**fields, "seconds": seconds, "upstream_seconds": "0.103", **changes}, separators=(",", ":"))


def samples(url: str, service: str) -> dict[tuple[str, ...], float]:
    """The values of a service by name and the labels instance_id, code and le, as far as there are any."""
    found = {}
    for name, text, value in SAMPLE.findall(http_get(url)):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
        if labels["service"] == service:
            found[(name.removeprefix("nginx_"), *(labels[key] for key in ("instance_id", "code", "le") if key in labels))] = float(value)
    return found


@pytest.fixture
def read(mtail: Mtail) -> Callable[..., dict[tuple[str, ...], float]]:
    """read(service, lines): append lines to the access log, and what is exported of the service when all of them were read."""

    def call(service: str, *lines: str) -> dict[tuple[str, ...], float]:
        before = lines_read(mtail)
        with mtail.access_log.open("a") as log:
            log.writelines(f"{text}\n" for text in lines)
        wait_until(lambda: lines_read(mtail) == before + len(lines), "mtail has read the lines")
        return samples(mtail.metrics_url, service)

    return call


def lines_read(mtail: Mtail) -> int:
    # Not mtail_lines_total: that counts a line before the program has it.
    found = re.search(r"^mtail_vm_line_processing_duration_seconds_count\{.*\} (\d+)$", http_get(mtail.metrics_url), re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_requests_by_service_instance_and_code(read):
    lines = [line("shop")] * 3 + [line("shop", "shop-app2-20001", seconds="2.000"), line("shop", status="404"), line("cart")]
    found = read("shop", *lines)
    counters = {key: value for key, value in found.items() if not key[0].endswith("_bucket")}
    assert counters == {
        REQUESTS: 5,
        ("http_requests_total", "shop-app1-20000", "200"): 3,
        ("http_requests_total", "shop-app1-20000", "404"): 1,
        ("http_requests_total", "shop-app2-20001", "200"): 1,
        ("http_request_duration_seconds_count", "shop-app1-20000"): 4,
        ("http_request_duration_seconds_count", "shop-app2-20001"): 1,
        ("http_request_duration_seconds_sum", "shop-app1-20000"): pytest.approx(0.416),
        ("http_request_duration_seconds_sum", "shop-app2-20001"): 2,
    }
    buckets = {key[2]: value for key, value in found.items() if key[0].endswith("_bucket") and key[1] == "shop-app2-20001"}
    assert {le: buckets[le] for le in ("0.005", "1", "2.5", "10", "+Inf")} == {"0.005": 0, "1": 0, "2.5": 1, "10": 1, "+Inf": 1}
    assert len(buckets) == 12


@pytest.mark.parametrize(
    ("changes", "timed"),
    [
        # Another instance was tried after the first had refused.
        ({"instance": "", "upstream": "192.0.2.11:20000, 192.0.2.12:20000", "upstream_seconds": "0.001, 0.103"}, True),
        ({"instance": "", "upstream": "192.0.2.11:20000, 192.0.2.12:20000", "upstream_seconds": "-, 0.103"}, True),
        ({"status": "504", "seconds": "60.000", "upstream_seconds": "60.000"}, True),
        ({"status": "499", "upstream_seconds": "0.103"}, True),
        ({"status": "499", "upstream_seconds": "-"}, False),
        ({"instance": "", "upstream": "", "status": "400", "seconds": "0.000", "upstream_seconds": ""}, False),
        ({"instance": "-", "upstream": "-", "status": "503", "seconds": "0.000", "upstream_seconds": "-"}, False),
        ({"status": "502", "seconds": "0.001", "upstream_seconds": "0.001"}, False),
    ],
)
def test_only_an_answer_of_an_instance_has_a_time(read, changes, timed, request):
    service = f"case-{abs(hash(request.node.name)) % 10**9}"
    found = read(service, line(service, **changes))
    assert found[REQUESTS] == 1
    assert sum(value for key, value in found.items() if key[0] == "http_requests_total") == 1
    assert sum(value for key, value in found.items() if key[0].endswith("_count")) == (1 if timed else 0)


def test_what_is_no_request_makes_a_service_known_and_counts_nothing(read):
    probe = line("idle", instance="", upstream="", method="", status="400", seconds="0.000", upstream_seconds="")
    assert read("idle", probe, probe) == {REQUESTS: 0}
    assert read("idle", line("idle"), probe)[REQUESTS] == 1


HOSTILE = [
    "",
    "garbage",
    "\x00\xff\x1b[31m",
    '192.0.2.7 - - [24/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 612 "-" "curl"',
    line("hostile")[:-1],
    line("hostile") + line("hostile"),
    " " + line("hostile"),
    line("hostile", status="20"),
    line("hostile", status="abc"),
    line("hostile", seconds="-0.104"),
    line("hostile", seconds="1e9"),
    line("hostile", seconds="NaN"),
    line("hostile", instance='x"} 1\nevil{a="'),
    line("hostile", instance="x" * 129),
    line("hostile", method='GET","status":"200'),
    line("hostile", upstream="x" * 200_000, status="none"),
    line('hostile",instance_id="x'),
    line("HOSTILE"),
    json.dumps({"service": "hostile"}),
    "{" * 100_000,
]


def test_hostile_lines_are_no_requests(read, mtail):
    before = SAMPLE.findall(http_get(mtail.metrics_url))
    assert read("hostile", *HOSTILE) == {}
    assert SAMPLE.findall(http_get(mtail.metrics_url)) == before
    assert read("hostile", line("hostile", upstream="y" * 100_000))[REQUESTS] == 1


@pytest.mark.parametrize("rotate", ["rename", "truncate"])
def test_a_rotated_log_goes_on(read, mtail, rotate):
    service = f"rotated-{rotate}"
    assert read(service, line(service), line(service))[REQUESTS] == 2
    if rotate == "rename":
        # As logrotate does: what Nginx writes before it reopens its log goes to the old file.
        old = mtail.access_log.rename(mtail.access_log.with_suffix(".log.1"))
        mtail.access_log.touch()
        with old.open("a") as log:
            log.write(line(service) + "\n")
        wait_until(lambda: samples(mtail.metrics_url, service)[REQUESTS] == 3, "the old file is read to its end")
    else:
        os.truncate(mtail.access_log, 0)
        assert read(service, line(service))[REQUESTS] == 3
    assert read(service, line(service))[REQUESTS] == 4


def test_a_restart_begins_anew_with_new_lines(read, mtail):
    assert read("kept", line("kept"), line("kept"))[REQUESTS] == 2
    mtail.restart()
    assert samples(mtail.metrics_url, "kept") == {}
    assert read("kept", line("kept"))[REQUESTS] == 1


def test_a_program_that_is_wrong_is_not_accepted(network, tmp_path):
    compiled = [find_program("mtail"), "--compile_only", "--address", f"{network}.24", "--logtostderr", "--progs"]
    assert subprocess.run([*compiled, str(ROLE / "files")], capture_output=True, check=False).returncode == 0
    (tmp_path / "autoscale.mtail").write_text((ROLE / "files" / "autoscale.mtail").read_text().replace("$seconds", "$second"))
    assert subprocess.run([*compiled, str(tmp_path)], capture_output=True, check=False).returncode != 0


PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: microservices.autoscale.balancer
        tasks_from: exporter
"""


@pytest.fixture
def exporter(run_playbook, tmp_path) -> Callable[..., Any]:
    """exporter("--check", balancer_provider="haproxy"): the entry point, which writes the program only, to the folder `programs`."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "play.yml").write_text(PLAY)
    fixed = {"balancer_exporter_manage_service": False, "balancer_exporter_program_dir": str(tmp_path / "programs")}

    def call(*arguments: str, **variables: Any) -> Any:
        variables = {"autoscale_balancer_provider": "nginx", **fixed, **variables}
        return run_playbook(tmp_path / "play.yml", *arguments, extra_vars=variables)

    return call


def test_the_entry_point_without_the_service_writes_the_program(exporter, tmp_path):
    program = tmp_path / "programs" / "autoscale.mtail"
    assert exporter("--check").succeeded().changed == 1
    assert not program.exists()
    assert exporter().succeeded().changed == 1
    assert program.read_text() == (ROLE / "files" / "autoscale.mtail").read_text()
    assert exporter().succeeded().changed == 0


def test_the_entry_point_is_for_nginx_only(exporter, tmp_path):
    refused = exporter(autoscale_balancer_provider="haproxy")
    assert refused.code != 0 and "localhost is a balancer of the kind haproxy, which exports its own metrics" in refused.output
    assert list((tmp_path / "programs").iterdir()) == []


# The start in the unit of Debian's package, with paths of ours.
UNIT = 'exec {mtail} --progs {programs} --logtostderr ${{HOST:+--address $HOST}} ${{PORT:+--port $PORT}} --logs "$LOGS" $EXTRA_ARGS'
SETTINGS = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: {role}/defaults/main.yml
    - ansible.builtin.template: {{src: {role}/templates/mtail.default.j2, dest: {folder}/mtail.default}}
"""


def test_debians_unit_starts_with_the_settings(run_playbook, network, folder, tmp_path):
    """Two logs, one of them a glob, and an address of its own."""
    (tmp_path / "play.yml").write_text(SETTINGS.format(role=ROLE, folder=tmp_path))
    logs = [tmp_path / "autoscale.log", tmp_path / "other-*.log"]
    variables = {
        "autoscale_nginx_exporter": f"{network}.23:3904",
        "balancer_exporter_logs": [str(log) for log in logs],
        "balancer_exporter_arguments": "--emit_prog_label=false --poll_interval 100ms",
    }
    run_playbook(tmp_path / "play.yml", extra_vars=variables).succeeded()
    for name in ("autoscale.log", "other-1.log"):
        (tmp_path / name).touch()
    start = UNIT.format(mtail=find_program("mtail"), programs=ROLE / "files")
    command = ["sh", "-ec", f"set -a; . {shlex.quote(str(tmp_path / 'mtail.default'))}; {start}"]
    url = f"http://{network}.23:3904/metrics"
    with Process("mtail", command, tmp_path, ready=lambda: http_get(url), lab=str(folder)):
        for name in ("autoscale.log", "other-1.log"):
            with (tmp_path / name).open("a") as log:
                log.write(line(name.partition(".")[0]) + "\n")
        for service in ("autoscale", "other-1"):
            wait_until(lambda name=service: samples(url, name).get(REQUESTS) == 1, f"the log of {service} is read")
        assert "prog=" not in http_get(url).split("# TYPE nginx_service_http_requests_total")[1].split("#")[0]


@pytest.mark.parametrize(
    ("address", "told"),
    [("192.0.2.1:3903", ("192.0.2.1", "3903")), ("[2001:db8::1]:3904", ("2001:db8::1", "3904")), (":3903", ("", "3903"))],
)
def test_address_and_port(run_playbook, tmp_path, address, told):
    (tmp_path / "play.yml").write_text(SETTINGS.format(role=ROLE, folder=tmp_path))
    run_playbook(tmp_path / "play.yml", extra_vars={"balancer_exporter_address": address}).succeeded()
    settings = dict(re.findall(r'^(\w+)="(.*)"$', (tmp_path / "mtail.default").read_text(), re.MULTILINE))
    assert (settings["HOST"], settings["PORT"]) == told
    assert settings["LOGS"] == "/var/log/nginx/autoscale.log"
