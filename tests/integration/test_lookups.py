# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doors as a playbook uses them: modules by FQCN, and lookups with their options from variables and the environment."""

from __future__ import annotations

import json

import pytest
import yaml

PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - microservices.autoscale.consul_lock:
        consul_url: "{{ consul_url }}"
        services: [looked]
      register: locks
    - microservices.autoscale.consul_service:
        consul_url: "{{ consul_url }}"
        session: "{{ locks.session }}"
        services:
          - {name: looked, id: looked-1, address: 192.0.2.1, port: 80, weight: 5}
          - {name: looked, id: looked-2, address: "2001:db8::1", port: 81}
          - {name: looked, id: looked-3, address: 192.0.2.3, port: 82, checks: [{ttl: 300s}]}
      register: registered
    - microservices.autoscale.consul_service_info:
        consul_url: "{{ consul_url }}"
        services: [looked]
      register: known
      until: known.instances | length == 3 or ansible_check_mode
      retries: 20
      delay: 1
    - ansible.builtin.copy:
        dest: "{{ result }}"
        mode: "0600"
        content: "{{ found | to_json }}"
      vars:
        autoscale_consul_url: "{{ consul_url }}"
        autoscale_prometheus_url: "{{ prometheus_url }}"
        lookup: microservices.autoscale.consul_service
        found:
          changed: "{{ registered.changed }}"
          acquired: "{{ locks.acquired }}"
          dicts: "{{ query(lookup, 'looked') }}"
          chosen: "{{ query(lookup, 'looked', filter='Service.Port == 81', near='_agent', consistency='stale', minimum=1) }}"
          texts: "{{ query(lookup, 'looked', format='text') }}"
          values: "{{ query('microservices.autoscale.prometheus_query', 'vector(4) * 2', '1 + 1') }}"
      when: not ansible_check_mode
    - microservices.autoscale.consul_lock:
        consul_url: "{{ consul_url }}"
        state: released
        session: "{{ locks.session }}"
        services: "{{ locks.acquired }}"
"""

ONE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ %s }}"
"""


@pytest.fixture
def playbook(tmp_path):
    def write(text):
        path = tmp_path / "play.yml"
        path.write_text(text)
        assert yaml.safe_load(text)
        return path

    return write


def test_a_play_registers_under_a_lock_and_looks_up(run_playbook, playbook, consul, prometheus, tmp_path):
    variables = {"consul_url": consul.url, "prometheus_url": prometheus.url, "result": str(tmp_path / "result.json")}
    planned = run_playbook(playbook(PLAY), "--check", "--diff", "-i", "localhost,", "-c", "local", extra_vars=variables).succeeded()
    assert planned.changed == 1 and '"service looked-2"' in planned.output
    run_playbook(playbook(PLAY), "-i", "localhost,", "-c", "local", extra_vars=variables).succeeded()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["changed"] is True and result["acquired"] == ["looked"]
    first = next(endpoint for endpoint in result["dicts"] if endpoint["id"] == "looked-1")
    assert (first["address"], first["port"], first["weight"], first["node"]) == ("192.0.2.1", 80, 5, "server")
    assert sorted(result["texts"]) == ["192.0.2.1:80", "[2001:db8::1]:81"]
    assert [endpoint["id"] for endpoint in result["chosen"]] == ["looked-2"]
    assert [(entry["labels"], entry["value"]) for entry in result["values"]] == [({}, 8.0), ({}, 2.0)]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("query('microservices.autoscale.consul_service', 'absent', require=true)", "absent has no healthy instance in Consul at"),
        ("query('microservices.autoscale.consul_service', 'no name')", "service name 'no name' is not allowed"),
        ("query('microservices.autoscale.consul_service', 'none', prepared_query=true)", "knows no prepared query 'none'"),
        ("query('microservices.autoscale.consul_service', 'x', consul_url='http://127.0.0.1:1')", "gave no answer to GET"),
        ("query('microservices.autoscale.prometheus_query', 'sum(')", "parse error"),
        ("query('microservices.autoscale.prometheus_query', 'nothing', require=true)", "gave no series"),
    ],
)
def test_a_lookup_that_fails_says_why(run_playbook, playbook, consul, prometheus, expression, told):
    environment = {"CONSUL_HTTP_ADDR": f"{consul.address}:8500", "PROMETHEUS_URL": prometheus.url, "CONSUL_HTTP_TOKEN": "s3cret"}
    run = run_playbook(playbook(ONE % expression), "-i", "localhost,", "-c", "local", environment=environment)
    assert run.code != 0
    assert told in " ".join(run.output.split())
    assert "s3cret" not in run.output and "Traceback" not in run.output
