# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The edge of inventories: our errors as Ansible's, and what is done with text that others wrote."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

from ansible.errors import AnsibleParserError

from ..module_utils._domain.errors import AutoscaleError

try:
    # ansible-core 2.19 and later: text is a template only where it is trusted.
    from ansible.template import trust_as_template
except ImportError:
    # Before, text is a template unless it is marked as unsafe.
    from ansible.utils.unsafe_proxy import wrap_var

    trust_as_template = None
else:
    wrap_var = None


def untrusted(value: Any) -> Any:
    """Text that others wrote, in data of any depth, keys included; it is never a template."""
    return wrap_var(value) if trust_as_template is None else value


def checked(text: str) -> str:
    """Text that has passed an allow-list without anything of a template's, as plain text: `ansible-inventory` then shows it as such."""
    return text if trust_as_template is None else trust_as_template(text)


@contextlib.contextmanager
def inventory_errors() -> Iterator[None]:
    """Turn our errors into Ansible's; the messages hold no secrets."""
    try:
        yield
    except AutoscaleError as error:
        raise AnsibleParserError(error.message) from error
