# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One number out of a JSON document that is read over HTTP."""

from __future__ import annotations

import platform
import sys
from typing import Any, Mapping
from urllib.parse import parse_qsl, urlsplit

from .._domain.errors import AutoscaleError
from .http_client import HttpClient

try:
    import jmespath
except ImportError:
    HAS_JMESPATH = False
else:
    HAS_JMESPATH = True


class BadExpression(AutoscaleError):
    """The expression is wrong, or what it gives is not a number."""


def read(url: str, expression: str, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> float:
    """Read a JSON document and return the number that a JMESPath expression finds in it.

    Args:
        url: its query may hold a credential and is not shown in errors.
        headers: their values are not shown in errors either.
        timeout: seconds.

    Raises:
        Unreachable: no complete answer, or one that is not JSON.
        HttpError: a status that is not 2xx.
        BadExpression: a wrong expression, or it gives null or something that is not a number.
    """
    compiled = _compiled(expression)
    parts = urlsplit(url)
    client = HttpClient(f"{parts.scheme}://{parts.netloc}", what="the JSON endpoint", headers=headers, timeout=timeout)
    document = client.json("GET", parts.path or "/", params=parse_qsl(parts.query, keep_blank_values=True))
    where = f"the expression {expression!r} on {client.base_url}{parts.path}"
    try:
        found = compiled.search(document)
    except jmespath.exceptions.JMESPathError as error:
        raise BadExpression(f"{where} failed: {error}") from None
    if found is None:
        raise BadExpression(f"{where} found nothing (null); the document's top level is {_outline(document)}")
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise BadExpression(f"{where} gave {str(found)[:100]!r}, which is not a number")
    return float(found)


def _compiled(expression: str) -> Any:
    if not HAS_JMESPATH:
        raise AutoscaleError(
            f"the Python library 'jmespath' is missing on {platform.node()} for {sys.executable}: "
            "install it there (Debian: python3-jmespath)"
        )
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise BadExpression(f"{expression!r} is not a JMESPath expression: {error}") from None


def _outline(document: Any) -> str:
    if isinstance(document, dict):
        return f"a mapping with the keys {', '.join(sorted(map(str, document))[:20])}"
    return f"a {type(document).__name__}"
