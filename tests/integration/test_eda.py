# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebook under the real ansible-rulebook, with notifications as Alertmanager sends them, and with a real Alertmanager."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from addresses import free_port
from descriptions import shop
from fleet import instances, rotation
from lab import CLONE, Lab
from load import Load, LoadConfig
from processes import Process, find_program, http_get, wait_until

EDA = CLONE / "extensions" / "eda"
TOKEN = "let-me-in"
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Rulebook(Process):
    """ansible-rulebook with the webhook of our rulebook on a free port."""

    def __init__(self, lab: Lab, folder: Path, rulebook: str = "microservices.autoscale.reconcile") -> None:
        assert shutil.which("java"), "ansible-rulebook needs Java 17: apt-get install openjdk-17-jre-headless"
        self.url = f"http://{lab.net}.1:{free_port(f'{lab.net}.1')}/alerts"
        address, port = self.url.split("/")[2].split(":")
        folder.mkdir(parents=True)
        variables = {"autoscale_webhook_host": address, "autoscale_webhook_port": int(port), "autoscale_webhook_token": TOKEN}
        (folder / "variables.yml").write_text(json.dumps(variables))
        (folder / "ansible.cfg").touch()
        command = [str(Path(sys.executable).parent / "ansible-rulebook"), "--rulebook", rulebook]
        command += ["--inventory", lab.environment["ANSIBLE_INVENTORY"], "--vars", str(folder / "variables.yml"), "--shutdown-delay", "1"]
        environment = {
            **lab.environment,
            # The inventory is copied for each run, away from the clone that it looks for these in.
            "HAPROXY_BINARY": lab.haproxy.binary,
            "PROMTOOL_BINARY": lab.prometheus.promtool,
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(folder),
        }
        super().__init__("rulebook", command, folder, ready=self._listens_now, lab=str(lab.root), environment=environment)

    def _listens_now(self) -> bool:
        return self.post(b"", token="") == 401

    def post(self, body: bytes, token: str = TOKEN) -> int:
        """The status of the answer."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        try:
            with NO_PROXY.open(urllib.request.Request(self.url, body, headers), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def runs(self, part: str = "PLAY RECAP") -> int:
        """How many plays of reconcile have ended, or whatever else the output has of a run."""
        return self.log.read_text().count(part)


def notification(status: str = "firing", **labels: str) -> bytes:
    """What Alertmanager posts, version 4 of its webhook's format."""
    named = {"alertname": "RequestsQueue", **labels}
    alert = {
        "status": status,
        "labels": named,
        "annotations": {},
        "startsAt": "2026-11-24T14:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "0123456789abcdef",
    }
    told = {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "autoscale",
        "groupLabels": {},
        "commonLabels": named,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [alert],
    }
    return json.dumps(told).encode()


@pytest.fixture
def rulebook(lab: Lab, tmp_path: Path) -> Iterator[Rulebook]:
    with Rulebook(lab, tmp_path / "rulebook") as process:
        assert isinstance(process, Rulebook)
        yield process


def test_a_burst_is_one_run_and_nothing_else_is(rulebook: Rulebook) -> None:
    refused = {b"{": 400, b"not JSON": 400}
    accepted = [b"[1, 2]", b"null", b'"firing"', b"{}", b'{"status": {"a": 1}}', b'{"status": null}', notification("resolved")]
    assert {body: rulebook.post(body) for body in refused} == refused
    assert [rulebook.post(body) for body in accepted] == [200] * len(accepted)
    assert rulebook.post(notification(), token="another") == 401
    assert [rulebook.post(notification(service=f"shop{number}")) for number in range(10)] == [200] * 10
    wait_until(lambda: rulebook.runs() == 1, "reconcile to run", 60)
    # Whatever else there were to run comes before this one, in the order of the events.
    wait_until(lambda: rulebook.post(notification()) == 200 and rulebook.runs() > 1, "an alert after the quiet time to run reconcile", 90)
    assert rulebook.runs() == 2, rulebook.tail(100)
    assert rulebook.runs("failed=0") == 2, rulebook.tail(100)


def test_what_an_alert_says_is_no_template(lab: Lab, tmp_path: Path) -> None:
    """A label is anybody's text, and extra variables are templates to Ansible: the event's content does not get that far."""
    shown, planted = tmp_path / "show" / "show.yml", tmp_path / "planted"
    shown.parent.mkdir()
    play = {"hosts": "app1", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"var": "ansible_eda"}}]}
    shown.write_text(json.dumps([play]))
    book = yaml.safe_load((EDA / "rulebooks" / "reconcile.yml").read_text())
    book[0]["rules"][0]["action"]["run_playbook"]["name"] = str(shown)
    (tmp_path / "book.yml").write_text(json.dumps(book))
    with Rulebook(lab, tmp_path / "rulebook", str(tmp_path / "book.yml")) as process:
        assert isinstance(process, Rulebook)
        process.post(notification(service=f"{{{{ lookup('ansible.builtin.pipe', 'touch {planted}') }}}}"))
        wait_until(lambda: process.runs() == 1, "the playbook to run", 60)
        assert process.runs('"event": "firing"') == 1, process.tail(50)
        assert process.runs("touch") == 0
    assert not planted.exists()


def alertmanager_program() -> list[str]:
    """Debian's reads its templates from /usr/share and nowhere else: where it is unpacked only, it gets to see that folder in its place."""
    program = Path(find_program("prometheus-alertmanager", "ALERTMANAGER_BINARY")).resolve()
    share = program.parent / "usr" / "share"
    if not share.exists():
        return [str(program)]
    namespace = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else [])]
    return [*namespace, "sh", "-c", f'mount --bind {shlex.quote(str(share))} /usr/share && exec "$0" "$@"', str(program)]


@contextlib.contextmanager
def alertmanager(lab: Lab, folder: Path, webhook: str) -> Iterator[str]:
    """A real Alertmanager with the example's configuration; yields its ADDRESS:PORT."""
    config = yaml.safe_load((EDA / "examples" / "alertmanager.yml").read_text())
    (hook,) = config["receivers"][0]["webhook_configs"]
    (folder / "token").write_text(TOKEN)
    hook["url"] = webhook
    hook["http_config"]["authorization"]["credentials_file"] = str(folder / "token")
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    listens = f"{lab.net}.1:9093"
    command = [
        *alertmanager_program(),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={listens}",
        "--cluster.listen-address=",
    ]
    ready = lambda: http_get(f"http://{listens}/-/ready")  # noqa: E731
    with Process("alertmanager", command, folder, ready=ready, lab=str(lab.root), listens=(f"{lab.net}.1", 9093)):
        yield listens


def test_an_alert_scales_out_before_the_schedule_would(
    lab: Lab, rulebook: Rulebook, run_playbook: Callable[..., Any], tmp_path: Path
) -> None:
    scale = {"min_replicas": 2, "max_replicas": 4, "metrics": [{"requests": 15}]}
    balance = {"listen": 8351, "algorithm": "least_conn", "max_connections": 4}
    described = {"crowded": shop(8351, ports="23200-23299", scale=scale, balance=balance)}
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": described}).succeeded()
    with alertmanager(lab, tmp_path, rulebook.url) as sends_to:
        scraped = {"prometheus_rule_files": [str(EDA / "examples" / "rules.yml")], "prometheus_alertmanagers": [sends_to]}
        run_playbook("prepare", lab=lab, extra_vars=scraped).succeeded()
        # More than two instances can take: requests wait in HAProxy's queue.
        load = Load(LoadConfig(lab.address("lb1"), 8351, [[0, 90], [60, 90]]), tmp_path)
        load.start()
        try:
            wait_until(lambda: len(rotation(lab, "crowded")) == 4, "the alert to scale out", 60)
        finally:
            load.kill()
    assert len(instances(lab, "crowded")) == 4
    assert "crowded: 2 -> 4" in rulebook.log.read_text()
