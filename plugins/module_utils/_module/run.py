# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The only code that turns a use case into an Ansible module's exit."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from .._domain.errors import AutoscaleError, printable
from .._domain.secrets import url_credentials
from .._operations.outcome import Outcome
from .argspec import ArgumentSpec


def run(spec: ArgumentSpec, operation: Callable[[dict[str, Any], bool], Outcome]) -> None:
    """Run one use case as a module.

    Args:
        spec: the module's options with their constraints.
        operation: called with the validated parameters and whether this is check mode.
    """
    module = AnsibleModule(argument_spec=spec.options, supports_check_mode=True, **spec.constraints)
    # Options as given come back with every result. What is an option of its own is masked by no_log; this cannot be.
    module.no_log_values.update(url_credentials(module.params))
    try:
        outcome = operation(module.params, module.check_mode)
    except AutoscaleError as error:
        module.fail_json(msg=error.message, **error.context)
    for warning in outcome.warnings:
        module.warn(printable(warning))
    result: dict[str, Any] = dict(outcome.facts, changed=outcome.changed)
    if module._diff and outcome.changed:  # pylint: disable=protected-access
        result["diff"] = outcome.diff
    module.exit_json(**result)
