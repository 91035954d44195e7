# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Files of several services, checked before any of them is swapped in: listeners that clash, and the balancer's own check."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Callable, Iterable, Mapping, Protocol, Sequence

from .._clients.config_files import InvalidConfiguration
from .._domain import names
from .._domain.pool import Pool, clash
from .balancer_work import Work

Endpoints = Iterable["tuple[str, int]"]


class ConfigTree(Protocol):
    """A balancer's whole configuration, with one file per service in it."""

    def file(self, service: str) -> Path: ...

    def texts(self) -> dict[Path, str]:
        """Every file that the balancer reads."""

    def validate(self, replaced: Mapping[str, str | None]) -> None:
        """Let the balancer check a staged copy with other files of services; None leaves one out. Raises InvalidConfiguration."""

    def validate_as_is(self) -> None:
        """Let the balancer check what stands on disk. Raises InvalidConfiguration."""


def validate_together(tree: ConfigTree, works: Sequence[Work], product: str) -> None:
    """Let the balancer check all files that differ, at once; find the culprit only when it refuses them. A refused one fails."""
    texts = {work.service: work.wanted_text for work in works if not work.broken}
    by_service = {work.service: work for work in works}
    if not texts:
        return
    try:
        tree.validate(texts)
        return
    except InvalidConfiguration as error:
        words = error.message
    try:
        tree.validate_as_is()
    except InvalidConfiguration as error:
        words = f"{product}'s configuration is broken already, nothing was touched. Mend it first; {product} says:\n{error.message}"
        for name in texts:
            by_service[name].fail(words)
        return
    for name, text in texts.items():
        try:
            tree.validate({name: text})
        except InvalidConfiguration as error:
            by_service[name].fail(f"{product} refuses the configuration of {name}, nothing was touched. It says:\n{error.message}")
    if not any(by_service[name].broken for name in texts):
        for name in texts:
            by_service[name].fail(f"{product} refuses these pools together, nothing was touched. It says:\n{words}")


def refuse_taken_endpoints(tree: ConfigTree, works: Sequence[Work], new: Sequence[Work], bound: Callable[[str], Endpoints]) -> None:
    """A balancer would share an endpoint between two listeners without a word, and traffic would go to either.

    Args:
        works: all whose file changes.
        new: those of them whose listener may be new.
        bound: the endpoints that a file binds.
    """
    wanted = [(work, work.pool, work.pool.endpoint) for work in new if work.pool is not None and work.pool.endpoint is not None]
    if not wanted:
        return
    now = tree.texts()
    then = {**now, **{tree.file(work.service): work.wanted_text or "" for work in works}}
    for work, pool, endpoint in wanted:
        where = names.endpoint(*endpoint)
        other = _other_file(tree, work, pool, then, bound)
        if other is not None:
            work.fail(f"the listener {where} of {work.service} is bound in {other} already")
            continue
        # Where a service's own listener is cannot be seen when its file is gone or newer than the process.
        ours = work.listener_unknown or any(clash(pool, bound(text)) for text in now.values())
        if not ours and listens(*endpoint, timeout=1.0):
            work.fail(f"something else listens at {where}, where {work.service} is to listen; nothing was touched. Find it with: ss -ltnp")


def _other_file(tree: ConfigTree, work: Work, pool: Pool, texts: Mapping[Path, str], bound: Callable[[str], Endpoints]) -> Path | None:
    own = tree.file(work.service)
    return next((path for path, text in texts.items() if path != own and clash(pool, bound(text))), None)


def listens(address: str, port: int, *, timeout: float) -> bool:
    """Whether somebody accepts connections there, as seen from this host."""
    try:
        with _connection(address, port, timeout):
            return True
    except OSError:
        return False


def answers(address: str, port: int, message: bytes, *, timeout: float) -> bytes:
    """The beginning of what somebody answers there to a message, as seen from this host; empty when nobody does."""
    try:
        with _connection(address, port, timeout) as connection:
            connection.sendall(message)
            return connection.recv(4096)
    except OSError:
        return b""


def _connection(address: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address), port), timeout=timeout)
