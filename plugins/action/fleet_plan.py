# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ..modules import fleet_plan
from ..plugin_utils.controller_door import ControllerDoor


class ActionModule(ControllerDoor):
    """The module of the same name, which is where the documentation is, run in the controller's process."""

    spec = fleet_plan.SPEC
    operation = fleet_plan.operation
