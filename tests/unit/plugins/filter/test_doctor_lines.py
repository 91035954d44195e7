# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.microservices.autoscale.plugins.filter.doctor_lines import doctor_lines

RESULTS = {
    "app1": {"checks": [{"name": "python", "ok": True, "found": "3.11", "mend": ""}]},
    "db": {"skipped": True},
    "lb-long": {"unreachable": True, "msg": "no route\n"},
    "odd": {"failed": True, "msg": "boom"},
}


def test_every_machine_has_its_lines_in_columns() -> None:
    assert doctor_lines(RESULTS) == [
        "app1     ok     python     3.11",
        "lb-long  WRONG  reachable  no route",
        "odd      WRONG  examined   boom",
    ]


def test_only_what_is_wrong_with_how_to_mend_it() -> None:
    lines = doctor_lines(RESULTS, only_wrong=True)
    assert [line.split(":")[0] for line in lines] == ["lb-long", "odd"]
    assert all("To mend it: " in line for line in lines)
    assert doctor_lines({"app1": RESULTS["app1"]}, only_wrong=True) == []
