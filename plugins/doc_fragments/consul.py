# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  consul_url:
    description: Where Consul's HTTP API listens.
    type: str
    default: http://127.0.0.1:8500
  consul_token:
    description:
      - ACL token. It is sent in a header only.
      - If not set, the environment variable E(CONSUL_HTTP_TOKEN) of the host on which the module runs is used.
    type: str
  consul_ca_path:
    description: File with the certificate of the authority that signed Consul's, for C(https). The system's authorities by default.
    type: path
  consul_timeout:
    description: Seconds for connecting and for each answer. The time that a waiting query may last is added to it.
    type: float
    default: 10.0
  consul_version:
    description:
      - Version of Consul, such as V(1.8.7), where the token has no right to ask for it (C(agent:read)).
      - What a version does not know is refused with the reason, and never sent.
    type: str
requirements:
  - The Python library requests on the host on which the module runs.
  - Consul 1.8 or later.
"""
