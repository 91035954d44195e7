# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  services:
    description:
      - The instances, all of one agent. Needed with O(state=present).
      - With O(state=absent) and O(state=maintenance) only C(name) and C(id) are used.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the service, of lower case letters, digits and hyphens.
        type: str
        required: true
      id:
        description: Identity of the instance, unique at the agent. The name by default.
        type: str
      address:
        description: IP address of the instance. That of the agent's node by default.
        type: str
      port:
        description: TCP port of the instance.
        type: int
      tagged_addresses:
        description:
          - Further addresses by name, each with C(address) and C(port). The port is the instance's own by default.
          - C(lan_ipv4), C(wan_ipv4), C(lan_ipv6) and C(wan_ipv6), which the agent adds by itself, are compared only where they are
            named here.
        type: dict
        default: {}
      tags:
        description: Tags; their order has no meaning.
        type: list
        elements: str
        default: []
      enable_tag_override:
        description:
          - Whether others may change the tags in the catalog. What they made of them is left alone then, until something that is
            declared here changes.
        type: bool
        default: false
      meta:
        description: Further pairs of names and values; numbers and booleans become text.
        type: dict
        default: {}
      weight:
        description: Weight while the checks pass; 0 is registered as 1, the least that Consul takes.
        type: int
        default: 1
      weight_warning:
        description: Weight while a check warns; 0 takes it out of what weighs by DNS.
        type: int
        default: 1
      checks:
        description:
          - All checks of the instance. Each is of one kind; C(http), C(tcp), C(udp), C(grpc), C(h2ping), C(ttl), C(args),
            C(docker_container_id), C(os_service), or C(alias_service) and C(alias_node) say of which.
          - An option that has no meaning for the kind is refused. So is one that the agent's version does not know, and nothing is
            sent then.
        type: list
        elements: dict
        default: []
        suboptions:
          id:
            description: Identity of the check. By default C(service:ID), with a number where there are several.
            type: str
          name:
            description: A name for people.
            type: str
          http:
            description:
              - URL to ask, or a path that begins with a slash, on the instance's own address and port.
              - Credentials in a URL are masked in the diff, but the agent keeps the URL. C(headers) are a better place for them.
            type: str
          tcp:
            description: C(ADDRESS:PORT) to connect to, or C(:PORT) on the instance's own address.
            type: str
          udp:
            description: C(ADDRESS:PORT) to send to, or C(:PORT) on the instance's own address. Needs Consul 1.13.
            type: str
          grpc:
            description: C(ADDRESS:PORT), C(:PORT), or one of them with C(/SERVICE), to ask by gRPC's own protocol for health checks.
            type: str
          h2ping:
            description: C(ADDRESS:PORT) to ping by HTTP/2, or C(:PORT) on the instance's own address. Needs Consul 1.10.
            type: str
          ttl:
            description: The service reports by itself, at least once in this time, such as V(30s).
            type: str
          args:
            description:
              - A program with its arguments, which the agent runs. 0 passes, 1 warns, everything else is critical.
              - The agent takes such a check only with C(enable_script_checks). Then everybody who may register a service at it can have
                it run any program, as the agent's user. Without ACLs that is everybody who reaches its port. Prefer another kind, or
                a check in the agent's own configuration with C(enable_local_script_checks).
              - The arguments are shown in the diff.
            type: list
            elements: str
          docker_container_id:
            description: The container in which C(args) is run; the same holds as for a program of the host.
            type: str
          os_service:
            description: A service of the operating system; Consul implements it on Windows only. Needs Consul 1.14.
            type: str
          alias_service:
            description: Identity of an instance whose health this one shares; at the agent, or on the node C(alias_node).
            type: str
          alias_node:
            description: Node whose health this instance shares.
            type: str
          interval:
            description: Time between two checks, such as V(10s). 10 seconds by default.
            type: str
          timeout:
            description: Time after which a check has failed.
            type: str
          method:
            description: Method of an HTTP check. GET by default.
            type: str
          headers:
            description:
              - Header names and values of an HTTP check. They are masked in the diff, and not logged.
              - Whoever may register this service can have the check sent to another address. Do not put a valuable secret here.
            type: dict
          body:
            description: Body of an HTTP check. It is masked in the diff, and not logged.
            type: str
          disable_redirects:
            description:
              - Do not follow redirects of an HTTP check, by which whoever answers it can have the agent ask another address.
              - Needs Consul 1.11.5, or 1.10.10 or 1.9.17 of the older lines.
            type: bool
          tcp_use_tls:
            description: Begin TLS on a TCP check. Needs Consul 1.16.2.
            type: bool
          grpc_use_tls:
            description: Ask by gRPC over TLS.
            type: bool
          h2ping_use_tls:
            description: Ping over TLS, which is Consul's default. Needs Consul 1.11.
            type: bool
          tls_server_name:
            description: Name that the certificate has to have, where it is not the host of the check. Needs Consul 1.10.
            type: str
          tls_skip_verify:
            description: Do not verify the certificate of a check over TLS.
            type: bool
          shell:
            description: Shell in the container of C(docker_container_id).
            type: str
          output_max_size:
            description: Bytes of output that are kept, at the most. 4096 by default.
            type: int
          success_before_passing:
            description: Number of good results in a row before the check passes.
            type: int
          failures_before_warning:
            description: Number of bad results in a row before the check warns, at most C(failures_before_critical). Needs Consul 1.11.
            type: int
          failures_before_critical:
            description: Number of bad results in a row before the check is critical.
            type: int
          status:
            description:
              - Status before the first result; critical by default. V(passing) sends traffic to an instance that nobody has looked at.
              - It holds for the first registration only. Consul keeps the status that a check has.
            type: str
            choices: [passing, warning, critical]
          deregister_critical_service_after:
            description: Deregister the instance when the check is critical for longer. Consul's own minimum is one minute.
            type: str
          notes:
            description: Text for people.
            type: str
"""
