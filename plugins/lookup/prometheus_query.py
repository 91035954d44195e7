# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: prometheus_query
short_description: Values of Prometheus queries
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Asks Prometheus for the value of expressions at one time, and returns their series as one flat list.
  - A query whose series do not exist gives nothing, which is an answer and not an error; see O(require).
options:
  _terms:
    description: Queries in PromQL that give an instant vector or a scalar.
    required: true
  time:
    description: The time of evaluation, in seconds since 1970. Prometheus' own now by default.
    type: float
  require:
    description: Fail when a query gives no series.
    type: bool
    default: false
  prometheus_url:
    description: Where Prometheus listens, with its path prefix, where there is one.
    type: str
    default: http://127.0.0.1:9090
    env:
      - name: PROMETHEUS_URL
    vars:
      - name: autoscale_prometheus_url
  prometheus_token:
    description: Bearer token. It is sent in a header only.
    type: str
    env:
      - name: PROMETHEUS_TOKEN
    vars:
      - name: autoscale_prometheus_token
  prometheus_ca_path:
    description: File of the certificate authority for https.
    type: path
    vars:
      - name: autoscale_prometheus_ca_path
  prometheus_timeout:
    description: Seconds for connecting and for each read, and the limit given to the query.
    type: float
    default: 10
    vars:
      - name: autoscale_prometheus_timeout
notes:
  - The lookup runs on the controller. It needs the Python library requests there.
  - A value may be NaN or infinite. A comparison with NaN is always false.
"""

EXAMPLES = r"""
- name: Requests per second of each instance of the shop
  ansible.builtin.debug:
    msg: "{{ item.labels.instance_id }}: {{ item.value }}"
  loop: "{{ query('microservices.autoscale.prometheus_query',
    'sum by (instance_id) (rate(http_requests_total{service=\"shop\"}[1m]))') }}"

- name: Go on only while the queue is short
  ansible.builtin.assert:
    that: (query('microservices.autoscale.prometheus_query', 'sum(queue_depth)', require=true) | first).value < 100

- name: From another server, as it was at a given time
  ansible.builtin.debug:
    msg: "{{ query('microservices.autoscale.prometheus_query', 'up', time=1764000000,
      prometheus_url='https://prometheus.example.com') }}"
"""

RETURN = r"""
_raw:
  description: One element per series.
  type: list
  elements: dict
  contains:
    labels:
      description: The series' labels; none for a scalar.
      type: dict
    value:
      description: The value.
      type: float
    timestamp:
      description: The time of evaluation, in seconds since 1970.
      type: float
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils.lookups import lookup_errors, prometheus_of, variables_for


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables_for(self, variables), direct=kwargs)
        found = []
        with lookup_errors():
            prometheus = prometheus_of(self)
            for expr in terms:
                samples = prometheus.query(expr, self.get_option("time"))
                for warning in prometheus.warnings:
                    Display().warning(f"Prometheus on {expr!r}: {warning}")
                if not samples and self.get_option("require"):
                    raise AnsibleLookupError(f"the query {expr!r} gave no series on Prometheus at {prometheus.url}")
                found += [{"labels": dict(sample.labels), "value": sample.value, "timestamp": sample.timestamp} for sample in samples]
        return found
