# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The options of the argument spec CONSUL for lookups and inventories, which also take them from the environment and from variables."""

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
    env:
      - name: CONSUL_HTTP_ADDR
    vars:
      - name: autoscale_consul_url
  consul_token:
    description: ACL token. It is sent in a header only.
    type: str
    env:
      - name: CONSUL_HTTP_TOKEN
    vars:
      - name: autoscale_consul_token
  consul_token_file:
    description:
      - File with the ACL token. Not together with O(consul_token).
      - Without both, the environment variables E(CONSUL_HTTP_TOKEN_FILE) and E(CONSUL_HTTP_TOKEN) are used, in this order.
    type: path
    vars:
      - name: autoscale_consul_token_file
  consul_ca_path:
    description:
      - File with the certificate of the authority that signed Consul's, for C(https). The system's authorities by default.
      - The certificate is verified in any case, since the token goes to whoever answers.
    type: path
    env:
      - name: CONSUL_CACERT
    vars:
      - name: autoscale_consul_ca_path
  consul_client_cert:
    description: File with the certificate by which this client is known, where Consul asks for one (C(verify_incoming)).
    type: path
    env:
      - name: CONSUL_CLIENT_CERT
    vars:
      - name: autoscale_consul_client_cert
  consul_client_key:
    description: File with the key of O(consul_client_cert), without a password; by default that file has the key as well.
    type: path
    env:
      - name: CONSUL_CLIENT_KEY
    vars:
      - name: autoscale_consul_client_key
  consul_timeout:
    description: Seconds for connecting and for each answer.
    type: float
    default: 10.0
    vars:
      - name: autoscale_consul_timeout
  consul_version:
    description: Version of Consul, such as V(1.8.7), where the token has no right to ask for it (C(agent:read)).
    type: str
    vars:
      - name: autoscale_consul_version
requirements:
  - The Python library requests on the controller.
  - Consul 1.8 or later.
"""
