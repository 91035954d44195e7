# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul as the connection options describe it; the same options in modules, lookups and inventories."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Callable

from .._domain.errors import AutoscaleError
from .consul import Consul


def connect(option: Callable[[str], Any]) -> Consul:
    """The Consul client that the options of the argument spec CONSUL describe.

    Args:
        option: gives an option's value by its name.

    Raises:
        AutoscaleError: an option is wrong; nothing was asked of Consul.
    """
    url = option("consul_url")
    timeout = option("consul_timeout")
    if timeout <= 0:
        raise AutoscaleError(f"consul_timeout: must be greater than 0, got {timeout:g}")
    return Consul(
        # Consul's own variable CONSUL_HTTP_ADDR may leave the scheme out.
        url if "://" in url else f"http://{url}",
        token=_token(option("consul_token"), option("consul_token_file")),
        ca_path=option("consul_ca_path"),
        client_cert=option("consul_client_cert"),
        client_key=option("consul_client_key"),
        timeout=timeout,
        version=option("consul_version"),
    )


def _token(token: str | None, file: str | None) -> str | None:
    """The option goes before the environment, in which the file goes before the token, as for Consul's own commands."""
    if token and token != os.environ.get("CONSUL_HTTP_TOKEN"):
        if file:
            raise AutoscaleError("consul_token and consul_token_file exclude each other")
        return token
    file = file or os.environ.get("CONSUL_HTTP_TOKEN_FILE")
    return _read(os.path.expanduser(file)) if file else token


def _read(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AutoscaleError(f"consul_token_file: {path} cannot be read on {platform.node()}: {reason}") from None
    if not token:
        raise AutoscaleError(f"consul_token_file: {path} on {platform.node()} is empty")
    return token
