# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  config_dir:
    description: Folder with one file per service, which the base configuration includes inside its C(http) block.
    type: path
    required: true
  base_config:
    description: Nginx's base configuration, which is read and never written.
    type: path
    required: true
  binary:
    description: Nginx's program, for checking configurations.
    type: str
    default: nginx
  pid_file:
    description: File with the number of Nginx's master process.
    type: path
    required: true
  access_log:
    description: File to which one line of JSON is written per request.
    type: path
    required: true
  reload_timeout:
    description: Seconds for new workers to serve.
    type: float
    default: 20.0
"""
