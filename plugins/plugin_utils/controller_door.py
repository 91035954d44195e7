# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Runs a module's use case in Ansible's own process on the controller, in place of a new Python."""

from __future__ import annotations

from typing import Any, Callable

from ansible.plugins.action import ActionBase

from ..module_utils._domain.errors import AutoscaleError, printable
from ..module_utils._module.argspec import ArgumentSpec
from ..module_utils._operations.outcome import Outcome


class ControllerDoor(ActionBase):
    """An action that is a module's door: same options, same use case, same result.

    A subclass names the module's SPEC and operation. For use cases that only the controller runs, see ADR 3.
    """

    _requires_connection = False
    spec: ArgumentSpec
    operation: Callable[[dict[str, Any], bool], Outcome]

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _outcome, params = self.validate_argument_spec(self.spec.options, **self.spec.constraints)
        try:
            outcome = type(self).operation(params, self._task.check_mode)
        except AutoscaleError as error:
            return {**result, **error.context, "failed": True, "msg": error.message}
        result.update(outcome.facts, changed=outcome.changed)
        if outcome.warnings:
            result["warnings"] = [printable(warning) for warning in outcome.warnings]
        if self._task.diff and outcome.changed:
            result["diff"] = outcome.diff
        return result
