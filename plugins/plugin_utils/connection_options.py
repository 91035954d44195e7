# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The options of a connection, which one variable gives to all modules and lookups."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.validation import check_type_dict


def connection_options(options: Any) -> dict[str, Any]:
    """The options as a dictionary, also where they are given as text, as `--extra-vars key=value` does.

    Raises:
        AnsibleError: they are none.
    """
    try:
        given: dict[str, Any] = check_type_dict(options) if options else {}
    except TypeError as error:
        raise AnsibleError(f"the options of a connection are a dictionary, such as {{consul_timeout: 20}}: {error}") from error
    return given
