# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import decision_log
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, decision


def test_what_is_appended_is_read_again(tmp_path):
    path = str(tmp_path / "logs" / "decisions.jsonl")
    decision_log.append(path, [(decision(2), NOW), (decision(3, name="cart"), NOW)])
    decision_log.append(path, [(decision(4, current=2, kind="scale_up"), NOW + 15)])
    fields = ("time", "kind", "current_replicas", "desired_replicas")
    assert [tuple(entry[field] for field in fields) for entry in decision_log.read(path, "shop")] == [
        (NOW, "steady", 2, 2),
        (NOW + 15, "scale_up", 2, 4),
    ]


def test_an_entry_is_one_line_with_the_whole_decision(tmp_path):
    path = tmp_path / "decisions.jsonl"
    decision_log.append(str(path), [(decision(2), NOW)])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"time": NOW, **json.loads(json.dumps(decision(2).to_dict()))}]


def test_a_line_that_was_cut_off_is_passed_over(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_text('{"service": "shop", "time": 1}\n{"service": "shop", "ti\n[]\n"shop"\n{"service": "shop", "time": 2}\n')
    assert [entry["time"] for entry in decision_log.read(str(path), "shop")] == [1, 2]


def test_an_entry_after_a_cut_off_line_is_not_lost(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_text('{"service": "shop", "ti')
    decision_log.append(str(path), [(decision(2), NOW)])
    assert [entry["time"] for entry in decision_log.read(str(path), "shop")] == [NOW]


@pytest.mark.parametrize(("name", "decisions"), [(None, [(decision(2), NOW)]), ("decisions.jsonl", [])])
def test_without_a_path_or_a_decision_nothing_is_written(tmp_path, name, decisions):
    decision_log.append(name and str(tmp_path / name), decisions)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        AutoscaleError, match=r"^the decision log .*/file/decisions.jsonl cannot be written: .*; see autoscale_decision_log$"
    ):
        decision_log.append(str(tmp_path / "file" / "decisions.jsonl"), [(decision(2), NOW)])
