# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Fetches a file by path, file:// or http(s):// URL and verifies it; the content is not trusted before that."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
from typing import Any, Callable, Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

from .._domain.errors import AutoscaleError
from .http_client import require_requests

# require_requests names the host and the interpreter where it is missing.
with contextlib.suppress(ImportError):
    import requests

_BLOCK = 1024 * 1024
# Of a slow line; between two of them somebody may want to do something else.
_PIECE = 64 * 1024


def fetch(url: str, target: str, checksum: str, *, timeout: float = 30.0, tick: Callable[[], None] = lambda: None) -> None:
    """Copy an artifact to a file of mode 0600 and verify it.

    Args:
        url: an absolute path, or a file, http or https URL; redirects are followed, the checksum tells what arrived.
        checksum: SHA-256 in lower-case hex.
        timeout: seconds for connecting and for each read.
        tick: called again and again; what it raises ends the download.

    Raises:
        AutoscaleError: nothing is left at the target.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for block in _blocks(url, timeout):
                digest.update(block)
                size += len(block)
                file.write(block)
                tick()
        if digest.hexdigest() != checksum:
            raise AutoscaleError(
                f"artifact {without_credentials(url)}: the checksum is wrong: expected sha256:{checksum}, "
                f"got sha256:{digest.hexdigest()} ({size} bytes). Nothing was unpacked"
            )
    except BaseException:
        pathlib.Path(target).unlink(missing_ok=True)
        raise


def without_credentials(url: str) -> str:
    """The URL for messages: without user, password and query, which often is a signature."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _blocks(url: str, timeout: float) -> Iterator[bytes]:
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        return _download(url, timeout)
    if scheme == "file":
        return _read(unquote(urlsplit(url).path))
    if url.startswith("/"):
        return _read(url)
    raise AutoscaleError(f"artifact {without_credentials(url)!r} is not allowed: must be an absolute path, or a file, http or https URL")


def _read(path: str) -> Iterator[bytes]:
    try:
        with pathlib.Path(path).open("rb") as file:
            while True:
                block = file.read(_BLOCK)
                if not block:
                    return
                yield block
    except OSError as error:
        raise AutoscaleError(f"artifact {path} cannot be read on this host: {error.strerror or error}") from None


def _download(url: str, timeout: float) -> Iterator[bytes]:
    require_requests()
    shown = without_credentials(url)
    try:
        with requests.get(url, stream=True, timeout=timeout) as response:
            if response.status_code != 200:
                raise AutoscaleError(f"artifact {shown}: the server answered {response.status_code} {response.reason}")
            blocks: Any = response.iter_content(_PIECE)
            yield from blocks
    except requests.RequestException as error:
        # The library's own text repeats the URL with its credentials.
        raise AutoscaleError(f"artifact {shown}: the download failed: {type(error).__name__}") from None
