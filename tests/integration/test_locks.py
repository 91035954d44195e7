# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks on a real Consul: who has one, who is told what, and what is written only under one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import Unreachable
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import LockLost
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import locks
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.guarded_writes import Conflict, write_guarded
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import lock_key
from processes import wait_until


@pytest.fixture
def client(consul):
    return Consul(consul.url)


def test_a_second_process_is_told_holder_and_since(consul, client, run_module):
    with_consul = {"consul_url": consul.url}
    first = run_module("consul_lock", {**with_consul, "services": ["held", "other"], "holder": "first"})
    assert sorted(first["acquired"]) == ["held", "other"] and first["busy"] == [] and not first["changed"]
    second = run_module("consul_lock", {**with_consul, "services": ["held", "free"], "holder": "second"})
    assert second["acquired"] == ["free"] and second["session"] != first["session"]
    (busy,) = second["busy"]
    assert (busy["service"], busy["holder"]) == ("held", "first")
    assert busy["since"][:4].isdigit() and busy["since"] in busy["message"]
    failed = run_module("consul_lock", {**with_consul, "services": ["held", "more"], "busy": "fail"})
    assert failed["failed"] and "held by first" in failed["msg"]
    assert client.kv_get(lock_key("more")).session is None
    planned = run_module("consul_lock", {**with_consul, "services": ["held", "fresh"]}, check=True)
    assert (planned["session"], planned["acquired"], planned["busy"][0]["holder"]) == (None, ["fresh"], "first")
    assert client.kv_get(lock_key("fresh")) is None
    release = {**with_consul, "state": "released", "session": first["session"], "services": ["held", "other"]}
    assert not run_module("consul_lock", release, check=True)["released"]
    assert client.kv_get(lock_key("held")).session == first["session"]
    assert run_module("consul_lock", release)["released"]
    again = run_module("consul_lock", release)
    assert not again["released"] and not again["changed"] and not again.get("failed")
    # A released lock is free at once, without the lock delay.
    assert locks.acquire(client, [lock_key("held")], "third").acquired == (lock_key("held"),)


def test_releasing_finds_the_locks_by_itself(client):
    held = locks.acquire(client, [lock_key("found"), locks.FLEET_LOCK], "x")
    other = locks.acquire(client, [lock_key("not-found")], "y")
    assert locks.held_by(client, held.session) == (lock_key("found"), locks.FLEET_LOCK)
    assert locks.release(client, held.session)
    again = locks.acquire(client, [lock_key("found"), locks.FLEET_LOCK, lock_key("not-found")], "z")
    assert [lock.holder for lock in again.busy] == ["y"]
    assert not locks.release(client, held.session)
    for session in (other.session, again.session):
        assert locks.release(client, session)


def test_nothing_acquired_leaves_no_session(client):
    held = locks.acquire(client, [lock_key("only")], "x")
    sessions = client._http.json("GET", "/v1/session/list")
    assert locks.acquire(client, [lock_key("only")], "y", wait=0.3).session is None
    assert [each["ID"] for each in client._http.json("GET", "/v1/session/list")] == [each["ID"] for each in sessions]
    locks.release(client, held.session)


def test_waiting_gets_the_lock_when_it_is_given_back(client, consul):
    held = locks.acquire(client, [lock_key("waited")], "x")
    code = (
        "import sys\n"
        f"from {locks.__name__} import acquire\n"
        f"from {Consul.__module__} import Consul\n"
        f"got = acquire(Consul({consul.url!r}), ['autoscale/waited/lock'], 'y', wait=20)\n"
        "print(got.session or got.busy, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        wait_until(lambda: len(client._http.json("GET", "/v1/session/list")) > 1, "the other one waits")
        assert process.poll() is None
        locks.release(client, held.session, held.acquired)
        session = process.communicate(timeout=30)[0].strip()
    assert client.kv_get(lock_key("waited")).session == session
    locks.release(client, session)


def test_a_lock_whose_session_ended_is_free_after_the_lock_delay(client):
    held = locks.acquire(client, [lock_key("delayed")], "x", lock_delay=1)
    client.session_destroy(held.session)
    (busy,) = locks.acquire(client, [lock_key("delayed")], "y").busy
    assert busy.session is None and "held by x" in busy.text() and "lock delay" in busy.text()
    again = locks.acquire(client, [lock_key("delayed")], "y", wait=10)
    assert again.acquired
    locks.release(client, again.session, again.acquired)


def test_the_fleet_lock_is_held_inside_and_free_after(client):
    with locks.fleet_lock(client, "x", 0) as session:
        assert client.kv_get(locks.FLEET_LOCK).session == session
        with pytest.raises(locks.LockBusy, match="autoscale/lock is held by x since"), locks.fleet_lock(client, "y", 0.1):
            pytest.fail("two hold one lock")
    with pytest.raises(ZeroDivisionError), locks.fleet_lock(client, "x", 0):
        _ = 1 / 0
    with locks.fleet_lock(client, "z", 0):
        pass


def test_all_locks_of_some_services_or_none(client):
    busy = locks.acquire(client, [lock_key("taken")], "x")
    with (
        pytest.raises(locks.LockBusy, match="autoscale/taken/lock is held by x since"),
        locks.held(client, ["spare", "taken"], locks.Locking("y")),
    ):
        pytest.fail("one of them is not ours")
    locks.release(client, busy.session, busy.acquired)
    with locks.held(client, ["spare", "taken"], locks.Locking("y")) as session:
        assert locks.held_by(client, session) == (lock_key("spare"), lock_key("taken"))
    assert client.kv_get(lock_key("spare")).session is None


def test_writes_happen_only_under_the_lock_and_on_what_was_read(client):
    held = locks.acquire(client, [lock_key("written")], "x")
    key = "autoscale/written/scale"
    write_guarded(client, held.session, "written", [(key, "1", 0), ("autoscale/written/history", "[]", None)])
    read = client.kv_get(key)
    write_guarded(client, held.session, "written", [(key, "2", read.modify_index)])
    with pytest.raises(Conflict, match="somebody else changed them"):
        write_guarded(client, held.session, "written", [("autoscale/written/history", "[1]", None), (key, "3", read.modify_index)])
    # All or nothing.
    assert (client.kv_get(key).value, client.kv_get("autoscale/written/history").value) == ("2", "[]")
    write_guarded(client, held.session, "written", [("autoscale/written/history", None, None)])
    assert client.kv_get("autoscale/written/history") is None
    locks.release(client, held.session, held.acquired)
    for index in (None, client.kv_get(key).modify_index):
        with pytest.raises(LockLost, match="not held by this run any more"):
            write_guarded(client, held.session, "written", [(key, "4", index)])
    assert client.kv_get(key).value == "2"
    with pytest.raises(Conflict):
        write_guarded(client, None, "written", [(key, "4", 0)])


class LosesAnswers(Consul):
    """Consul, with the answer to every second transaction lost on the way back."""

    lost = False

    def kv_transaction(self, operations):
        reasons = super().kv_transaction(operations)
        self.lost = not self.lost
        if self.lost:
            raise Unreachable("lost on the way back")
        return reasons


def test_a_write_whose_answer_was_lost_is_found_and_no_conflict(client):
    held = locks.acquire(client, [lock_key("lost")], "x")
    key, other = "autoscale/lost/scale", "autoscale/lost/pending"
    write_guarded(client, held.session, "lost", [(other, "[]", 0)])
    writes = [(key, "1", 0), (other, None, client.kv_get(other).modify_index)]
    write_guarded(LosesAnswers(client.url), held.session, "lost", writes)
    assert (client.kv_get(key).value, client.kv_get(other)) == ("1", None)
    # By somebody else, who wrote the same.
    with pytest.raises(Conflict):
        write_guarded(client, held.session, "lost", writes)
    with pytest.raises(Conflict):
        write_guarded(LosesAnswers(client.url), held.session, "lost", [(key, "1", 0), (other, "[]", None), (key, "2", 0)])
    locks.release(client, held.session, held.acquired)
    with pytest.raises(LockLost):
        write_guarded(client, held.session, "lost", writes)


def test_more_writes_than_one_transaction_takes(client):
    held = locks.acquire(client, [lock_key("long")], "x")
    write_guarded(client, held.session, "long", [(f"autoscale/long/{number}", "x", 0) for number in range(130)])
    assert len(client.kv_keys("autoscale/long/")) == 131
    locks.release(client, held.session, held.acquired)


@pytest.mark.faults
def test_after_sigkill_the_lock_frees_within_twice_the_ttl_and_the_delay(client, consul):
    code = (
        "import time\n"
        f"from {locks.__name__} import fleet_lock\n"
        f"from {Consul.__module__} import Consul\n"
        f"with fleet_lock(Consul({consul.url!r}), 'killed', 0, ttl=10):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    began = time.monotonic()
    with locks.fleet_lock(client, "next", 60):
        assert time.monotonic() - began < 2 * 10 + 5 + 2
