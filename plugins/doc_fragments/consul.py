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
    description:
      - Where Consul's HTTP API listens, such as V(https://consul.example.com:8501), or V(unix:///run/consul.sock) for a unix socket.
      - Redirects are not followed.
    type: str
    default: http://127.0.0.1:8500
  consul_token:
    description:
      - ACL token. It is sent in a header only.
      - Without O(consul_token) and O(consul_token_file), the environment variables E(CONSUL_HTTP_TOKEN_FILE) and E(CONSUL_HTTP_TOKEN) of
        the host on which the module runs are used, in this order.
    type: str
  consul_token_file:
    description:
      - File with the ACL token on the host on which the module runs. Not together with O(consul_token).
    type: path
  consul_ca_path:
    description:
      - File with the certificate of the authority that signed Consul's, for C(https).
      - If not set, the environment variable E(CONSUL_CACERT) of the host on which the module runs is used, and without it the
        system's authorities.
      - The certificate is verified in any case, since the token goes to whoever answers.
    type: path
  consul_client_cert:
    description:
      - File with the certificate by which this client is known, where Consul asks for one (C(verify_incoming)).
      - If not set, the environment variable E(CONSUL_CLIENT_CERT) of the host on which the module runs is used.
    type: path
  consul_client_key:
    description:
      - File with the key of O(consul_client_cert), without a password. By default, the file of the certificate has the key as well.
      - If not set, the environment variable E(CONSUL_CLIENT_KEY) of the host on which the module runs is used.
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
