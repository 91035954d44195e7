# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The transaction around a reload of a balancer: files swapped, reloaded and proven, or files and process put back."""

from __future__ import annotations

import abc
from typing import Callable, Generic, Iterable, Mapping, TypeVar

from .._clients.config_files import ServiceFiles
from .._domain.errors import AutoscaleError

AnyFiles = TypeVar("AnyFiles", bound=ServiceFiles)


class BalancerReloads(abc.ABC, Generic[AnyFiles]):
    """Reloads of one balancer; `count` says how many it was asked for.

    Args:
        files: its configuration; the caller holds its lock.
    """

    def __init__(self, files: AnyFiles) -> None:
        self._files = files
        self._asked = False
        self.count = 0

    @abc.abstractmethod
    def _reload(self) -> None:
        """Let the process take over what the files say, and say so by _asking(); raises AutoscaleError when it does not."""

    def _asking(self) -> None:
        """From now on the process may have the new configuration."""
        self._asked = True
        self.count += 1

    def _swap(self, texts: Mapping[str, str | None], prove: Callable[[], None]) -> None:
        """Swap files and reload; on failure files and process are as they were.

        Args:
            texts: the services' files as they are to be; None removes one.
            prove: raises AutoscaleError where the process does not serve what they say.

        Raises:
            AutoscaleError: what failed, and that it was put back, or that it could not be.
        """
        # A killed run may have asked before us.
        self._asked = self._asked or any(self._files.unsettled(service) for service in texts)
        for service in texts:
            self._files.remember(service)
        try:
            for service, text in texts.items():
                self._files.write(service, text)
            self._reload()
            prove()
        except AutoscaleError as error:
            self._put_back(texts, error)
            raise
        self._settle(texts)

    def _put_back(self, services: Iterable[str], error: AutoscaleError) -> None:
        try:
            for service in services:
                self._files.put_back(service)
            # The process of a change that ended before its reload, on a full disk say, has never heard of it.
            if self._asked:
                self._reload()
            self._settle(services)
        except AutoscaleError as second:
            # What was remembered stays, so that the next run reloads.
            error.message += f"\nPutting the old configuration back failed too: {second}"
        else:
            error.message += "\nThe old configuration is back, in the folder and in the process."
        error.args = (error.message,)

    def _settle(self, services: Iterable[str]) -> None:
        """Files and process agree."""
        for service in services:
            self._files.settle(service)
        self._asked = False
