# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the measurements on the hosts lab share: what HAProxy serves from, and an end to a service."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from hosts import HostsLab
from plays import play


def remove(lab: HostsLab, folder: Path, service: str) -> None:
    play(lab, folder, "remove", autoscale_service=service, autoscale_confirm_remove=service)


def serving(lab: HostsLab, service: str) -> set[str]:
    """The servers that are up and have had a request."""
    rows = csv.DictReader(io.StringIO(lab.show_stat().lstrip("# ")))
    ours = [row for row in rows if row["pxname"] == f"autoscale_{service}" and row["svname"] not in ("FRONTEND", "BACKEND")]
    return {row["svname"] for row in ours if row["status"].startswith("UP") and int(row["stot"] or 0) > 0}
