# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The operations of a transaction on Consul's KV as they are sent, and their limits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Mapping, Sequence

from .._domain.consul_rights import DENIED, lacks, of_operation
from .._domain.errors import AutoscaleError

# Consul refuses larger values, and larger bodies of transactions, with 413, and may close the socket in the middle of the upload.
MAX_BYTES = 512 * 1024
_TOO_MANY = re.compile(r"too many operations \([0-9]+ > ([0-9]+)\)")


class TooManyOperations(AutoscaleError):
    """A transaction has more operations than this server takes; nothing of it was done.

    Args:
        limit: the most that it takes.
    """

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


def limit_in(body: str) -> int | None:
    """The most operations of a transaction, in the words by which Consul refuses one; None where they say something else."""
    found = _TOO_MANY.search(body)
    return int(found.group(1)) if found else None


def encoded(operation: Mapping[str, Any]) -> bytes:
    """One operation as a transaction has it; raises AutoscaleError where its value is too large.

    Args:
        operation: `{"Verb": …, "Key": …}`, a plain-text "Value" is encoded here.
    """
    if "Value" in operation:
        value = operation["Value"].encode()
        guard_size(operation["Key"], len(value))
        operation = dict(operation, Value=base64.b64encode(value).decode())
    return json.dumps({"KV": operation}, separators=(",", ":")).encode()


def guard_size(what: str, size: int) -> None:
    """Raise AutoscaleError where Consul would refuse this many bytes."""
    if size > MAX_BYTES:
        raise AutoscaleError(f"Consul KV {what}: {size} bytes are too many, at most {MAX_BYTES} are allowed")


def reason_of(error: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> str:
    """Why an operation of a transaction was refused; a missing right is named."""
    reason, index = str(error["What"]), error.get("OpIndex")
    if DENIED not in reason or not isinstance(index, int) or not 0 <= index < len(operations):
        return reason
    return f"{reason}: {lacks([of_operation(operations[index])])}"
