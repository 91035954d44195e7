# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Keeps what must not be told out of errors, also where a server echoes it."""

from __future__ import annotations

import base64
import json
import re
from typing import Iterable, Mapping
from urllib.parse import quote

_HIDDEN = "***"


class Secrets:
    """Texts that are replaced wherever they stand.

    Args:
        headers: whose values are secret.
        user, password: of the URL.
    """

    def __init__(self, headers: Mapping[str, str], user: str = "", password: str = "") -> None:
        secrets = [password]
        if user or password:
            secrets.append(base64.b64encode(f"{user}:{password}".encode()).decode())
        for value in headers.values():
            # "Bearer abc": a server may echo the second word alone.
            secrets += [value, value.split(" ")[-1]]
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), re.IGNORECASE) if forms else None

    def scrub(self, text: str) -> str:
        """The text without secrets. Cut it afterwards, since half a secret is not found."""
        return self._pattern.sub(_HIDDEN, text) if self._pattern else text


def _forms(secret: str) -> Iterable[str]:
    """How a secret may stand in a message: plain, in a URL, in JSON, in Python's words."""
    return secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]
