# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The file in which reconcile leaves its metrics for the node exporter, so that a schedule that died is seen."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Callable, Iterator

from .._clients.files import replace_text
from .._domain import observation as seen
from .._domain.errors import AutoscaleError
from .._domain.problems import together
from .._domain.run_metrics import RunState, ServiceState, last_success_in, render
from .fleet import Picture


@dataclasses.dataclass(frozen=True)
class Textfile:
    """Where and how a run leaves its metrics.

    Only a run that ended well moves the time of the last success: one with steps before it has carried them out does not, so
    that a run which dies half-way never looks like a success.

    Args:
        path: None to leave nothing.
        problems: how many lines a run that has carried out its steps has to tell; None at a run's first look, whose own count.
        seconds: asked for how long the run has been going.
    """

    path: str | None
    problems: int | None
    seconds: Callable[[], float | None]

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.endswith(".prom"):
            raise AutoscaleError(f"textfile: must end in .prom, or the node exporter passes it over, got {self.path!r}")

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Note a run that ends with an error in here. What its services are like is not known then."""
        try:
            yield
        except AutoscaleError:
            self._write(time.time(), (self.problems or 0) + 1, success=False)
            raise

    def note(self, picture: Picture) -> tuple[str, ...]:
        """Write what a look has seen; returns warnings.

        A file that cannot be written is no reason not to scale: whoever watches it sees that it grows old.
        """
        own = sum(1 for _line in together(picture.problems))
        problems = own if self.problems is None else self.problems
        finished = self.problems is not None or not any(made.steps for made in picture.plans)
        return self._write(picture.now, problems, success=finished and problems == 0, services=_states(picture))

    def _write(self, now: float, problems: int, *, success: bool, services: tuple[ServiceState, ...] = ()) -> tuple[str, ...]:
        if self.path is None:
            return ()
        path = Path(self.path)
        try:
            replace_text(path, render(RunState(now, now if success else _last_success(path), self.seconds(), problems, services)))
        except OSError as error:
            return (f"the metrics of this run cannot be written to {path}: {error.strerror}; see autoscale_textfile",)
        return ()


def _last_success(path: Path) -> float | None:
    try:
        return last_success_in(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None


def _states(picture: Picture) -> tuple[ServiceState, ...]:
    return tuple(
        ServiceState(
            service=made.service,
            desired=made.desired,
            ready=sum(1 for instance in situation.instances if instance.state == seen.READY),
            min_replicas=situation.record.service.scale.min_replicas,
            max_replicas=situation.record.service.scale.max_replicas,
            held=situation.decision.kind == "held",
        )
        for situation, made in zip(picture.situations, picture.plans)
    )
