# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: consul
short_description: Hosts from Consul's catalog
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Makes a host of each node in the catalog, and groups of its services and of their tags.
  - Reads a file whose name ends with C(consul.yml) or C(consul.yaml).
  - A node whose name or address is not one is left out with a warning; so is a service whose name, ID, address or port is not one.
    Everybody who may register a node or a service writes these texts. They are never templates, and a node's name is never a pattern.
options:
  plugin:
    description: Marks the file as one of this plugin.
    type: str
    required: true
    choices: [microservices.autoscale.consul]
  datacenter:
    description: The datacenter to read. That of the agent by default.
    type: str
  services:
    description: Only nodes with an instance of one of these services. Other services are then not read, and make no groups.
    type: list
    elements: str
    default: []
  passing_only:
    description: Leave out nodes of which a check does not pass, and instances of which one does not.
    type: bool
    default: false
  consistency:
    description:
      - V(default) is answered by the leader. V(stale) by any server, also where there is no leader, and may be old. V(consistent) by the
        leader after it has made sure that it is one.
    type: str
    choices: [default, stale, consistent]
    default: default
  minimum_hosts:
    description:
      - Fail when there are fewer hosts than this.
      - To a token without the right to read nodes or services Consul shows fewer or none of them, and no error.
    type: int
    default: 1
  service_prefix:
    description:
      - Begins the name of the group of a service. With an empty prefix, whoever may register a service chooses its hosts' groups.
    type: str
    default: service_
  tag_prefix:
    description: Begins the name of the group of a tag. With an empty prefix, whoever may register a service chooses its hosts' groups.
    type: str
    default: tag_
extends_documentation_fragment:
  - microservices.autoscale.consul_plugin
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - What is in a group's name besides letters, digits and C(_) becomes C(_), so that the services C(a.b) and C(a-b) share one group.
  - A node that has the name of a host in another source of the inventory adds its variables to that host, C(ansible_host) among them.
  - Variables for O(consul_url) and the like are extra variables (C(-e)) here; those of hosts and groups do not exist yet.
  - When reading fails, Ansible goes on without these hosts unless C(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED) is set.
  - Variables with free text, such as C(consul_meta), are shown by C(ansible-inventory) with the mark C(__ansible_unsafe).
  - When an address comes from free text by O(compose), that text decides to which host, or with which option of ssh's, a connection is
    opened. C(consul_tagged_addresses) has been checked.
seealso:
  - module: microservices.autoscale.consul_service_info
"""

EXAMPLES = r"""
# The smallest: localhost's agent, a group service_NAME for each service and tag_TAG for each tag.
plugin: microservices.autoscale.consul

---
# Hosts with the shop or the cart that are healthy, in other groups too, reached by their addresses for the wide area, kept for a minute.
plugin: microservices.autoscale.consul
consul_url: https://consul.example.com:8501
consul_ca_path: /etc/consul/ca.pem
services: [shop, cart]
passing_only: true
minimum_hosts: 2
service_prefix: ""
compose:
  ansible_host: consul_tagged_addresses.wan
groups:
  draining: consul_services | selectattr('maintenance') | list | length > 0
keyed_groups:
  - key: consul_meta.zone
    prefix: zone
  - key: consul_datacenter
strict: false
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/cache/ansible/consul
cache_timeout: 60
"""

import dataclasses
import hashlib
import json

from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ..module_utils._domain.catalog_host import Host
from ..module_utils._operations.catalog_hosts import HostQuery, read_hosts
from ..plugin_utils.inventories import checked, inventory_errors, untrusted
from ..plugin_utils.lookups import consul_of

_ENDINGS = ("consul.yml", "consul.yaml")
# These have passed an allow-list.
_CHECKED = ("node", "address", "status")
_NOT_GROUPS = ("all", "ungrouped")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "microservices.autoscale.consul"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(_ENDINGS)

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for host in self._hosts(path, cache):
            self._add(host)

    def _hosts(self, path, cache):
        """From the cache where it may be used and has them, else from Consul."""
        with inventory_errors():
            wanted, consul = HostQuery.from_options(self.get_options()), consul_of(self)
            # A cache is the answer to one question.
            question = json.dumps([consul.url, dataclasses.asdict(wanted)], sort_keys=True)
            key = f"{self.get_cache_key(path)}_{hashlib.sha256(question.encode()).hexdigest()[:16]}"
            cached = self.get_option("cache")
            if cached and cache and key in self._cache:
                return [Host(**host) for host in self._cache[key]]
            hosts, warnings = read_hosts(consul, wanted)
        for warning in warnings:
            self.display.warning(warning)
        if cached:
            self._cache[key] = [dataclasses.asdict(host) for host in hosts]
        return hosts

    def _add(self, host):
        name, strict = checked(host.name), self.get_option("strict")
        self.inventory.add_host(name)
        variables = {f"consul_{key}": checked(value) if key in _CHECKED else untrusted(value) for key, value in host.variables.items()}
        variables["consul_tagged_addresses"] = {key: checked(value) for key, value in host.variables["tagged_addresses"].items()}
        variables["ansible_host"] = variables["consul_address"]
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)
        for prefix, labels in (("service_prefix", host.services), ("tag_prefix", host.tags)):
            for label in labels:
                self._add_to_group(name, f"{self.get_option(prefix)}{label}")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _add_to_group(self, host, text):
        group = self._sanitize_group_name(text)
        if group in _NOT_GROUPS or group in self.inventory.hosts:
            self.display.warning(f"{host} is not put into a group {group}, which is the name of something else")
            return
        self.inventory.add_child(self.inventory.add_group(checked(group)), host)
