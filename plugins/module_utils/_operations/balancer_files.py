# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Files of several services: checked before any is swapped in (listeners that clash, the balancer's own check), and brought in."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Callable, Iterable, Mapping, Protocol, Sequence

from .._clients.config_files import InvalidConfiguration
from .._domain import names
from .._domain.errors import AutoscaleError
from .._domain.pool import Pool, clash
from .balancer_work import AnyWork, Work

Bound = Callable[[str], Iterable["tuple[str, int]"]]


class ConfigTree(Protocol):
    """A balancer's whole configuration, with one file per service in it."""

    def file(self, service: str) -> Path: ...

    def texts(self) -> dict[Path, str]:
        """Every file that the balancer reads."""

    def validate(self, replaced: Mapping[str, str | None]) -> None:
        """Let the balancer check a staged copy with other files of services; None leaves one out. Raises InvalidConfiguration."""

    def validate_as_is(self) -> None:
        """Let the balancer check what stands on disk. Raises InvalidConfiguration."""


def require_acceptable(tree: ConfigTree, works: Sequence[Work], product: str, bound: Bound) -> None:
    """Let every work fail whose file cannot be brought in together with the others'.

    Args:
        works: all whose file changes.
        bound: the endpoints that a file binds.
    """
    while True:
        left = [work for work in works if not work.broken]
        _refuse_taken_endpoints(tree, left, bound)
        _validate_together(tree, left, product)
        # The old file of one that failed stays, and the others have to get on with that one.
        if not any(work.broken for work in left):
            return


def bring_in(tree: ConfigTree, works: Sequence[AnyWork], apply: Callable[[Sequence[AnyWork]], None], bound: Bound) -> None:
    """Bring files in at once; in turn only when that fails, so that one that fails is in nobody's way.

    Args:
        apply: brings files in, or raises AutoscaleError and leaves everything as it was.
        bound: the endpoints that a file binds.
    """
    ready = []
    for work in works:
        with work.attempt():
            work.beat()
            ready.append(work)
    if not ready:
        return
    try:
        apply(ready)
    except AutoscaleError as error:
        if len(ready) == 1:
            ready[0].fail(error.message)
            return
        order: list[str] = []
        # On a full disk, say, there is no order.
        with contextlib.suppress(AutoscaleError):
            order, _refused = _in_turn(tree, {work.service: work.wanted_text for work in ready})
        for work in sorted(ready, key=lambda work: order.index(work.service) if work.service in order else len(order)):
            with work.attempt():
                _refuse_taken_endpoints(tree, [work], bound)
            if not work.broken:
                bring_in(tree, [work], apply, bound)


def _validate_together(tree: ConfigTree, works: Sequence[Work], product: str) -> None:
    """Let the balancer check all files that differ, at once; find the culprit only when it refuses them. A refused one fails."""
    texts = {work.service: work.wanted_text for work in works if not work.broken}
    by_service = {work.service: work for work in works}
    if not texts:
        return
    try:
        tree.validate(texts)
        return
    except InvalidConfiguration:
        pass
    try:
        tree.validate_as_is()
    except InvalidConfiguration as error:
        words = f"{product}'s configuration is broken already, nothing was touched. Mend it first; {product} says:\n{error.message}"
        for name in texts:
            by_service[name].fail(words)
        return
    _order, refused = _in_turn(tree, texts)
    for name, words in refused.items():
        by_service[name].fail(f"{product} refuses the configuration of {name}, nothing was touched. It says:\n{words}")


def _in_turn(tree: ConfigTree, texts: Mapping[str, str | None]) -> tuple[list[str], dict[str, str]]:
    """The services in an order in which the balancer takes each file after those before it, and what it says of the others.

    One service's routes may need another one to be there.
    """
    accepted: dict[str, str | None] = {}
    refused: dict[str, str] = {}
    left = dict(texts)
    while left:
        refused = {}
        for name, text in left.items():
            try:
                tree.validate({**accepted, name: text})
                accepted[name] = text
            except InvalidConfiguration as error:
                refused[name] = error.message
        if len(refused) == len(left):
            break
        left = {name: left[name] for name in refused}
    return list(accepted), refused


def _refuse_taken_endpoints(tree: ConfigTree, works: Sequence[Work], bound: Bound) -> None:
    """A balancer would share an endpoint between two listeners without a word, and traffic would go to either."""
    new = (work for work in works if work.new_listener)
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


def _other_file(tree: ConfigTree, work: Work, pool: Pool, texts: Mapping[Path, str], bound: Bound) -> Path | None:
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
