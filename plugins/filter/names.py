# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: names
short_description: A list, from a list or from text with commas
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Command lines and AWX surveys give a list as text such as V(shop, cart). A question that is left blank gives empty text, an empty list.
options:
  _input:
    description: A list, or text with commas between its entries.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Look at some services only
  microservices.autoscale.fleet_info:
    services: "{{ autoscale_only | default([]) | microservices.autoscale.names }}"
"""

RETURN = r"""
_value:
  description: The entries without the spaces around them; blank ones are left out.
  type: list
  elements: str
"""


def names(given):
    entries = given.split(",") if isinstance(given, str) else given
    return [entry.strip() for entry in entries if entry.strip()]


class FilterModule:
    def filters(self):
        return {"names": names}
