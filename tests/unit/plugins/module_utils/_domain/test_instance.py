# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance import Instance, Paths, safe_folder
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance_files import (
    File,
    command_line,
    digest_of_files,
    display,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.supervisor_files import supervisor_files
from hypothesis import given, settings
from hypothesis import strategies as st

PATHS = Paths("/var/lib/autoscale")
CHECKSUM = "a" * 64


def parsed(**run: Any) -> Instance:
    raw = {
        "service": "shop",
        "id": "shop-app1-20000",
        "address": "192.0.2.1",
        "port": 20000,
        "version": "1.4.2",
        "run": {
            "provider": "supervisor",
            "command": "{path}/bin/shop",
            "artifact": {"url": "/a.tgz", "checksum": f"sha256:{CHECKSUM}"},
            **run,
        },
    }
    return Instance.parse(raw, with_run=True)


def made(secrets: dict[str, str] | None = None, **run: Any) -> tuple[File, ...]:
    return supervisor_files(parsed(**run), PATHS, "/etc/supervisord.d", secrets or {})


def test_placeholders_are_filled_after_the_split_so_that_a_value_stays_one_word() -> None:
    instance = parsed(command="{path}/bin/shop --listen '{address}:{port}' --name={instance}-{version} {other} '{ port }'")
    assert command_line(instance.run.command if instance.run else "", instance, "/with space/v") == (
        "/with space/v/bin/shop",
        "--listen",
        "192.0.2.1:20000",
        "--name=shop-app1-20000-1.4.2",
        "{other}",
        "{ port }",
    )


def test_the_script_and_the_program_hold_no_secret_and_the_environment_does() -> None:
    environment, script, program = made({"pw": "s3cr3t"}, environment={"PW": {"secret": "pw"}, "AT": "{port}"})
    assert environment.text == "AT=20000\nPW=s3cr3t\n"
    assert "s3cr3t" not in script.text + program.text
    assert [(file.path, file.mode, file.private) for file in (environment, script, program)] == [
        ("/var/lib/autoscale/instances/shop-app1-20000/environment", 0o600, True),
        ("/var/lib/autoscale/instances/shop-app1-20000/run", 0o700, True),
        ("/etc/supervisord.d/shop-app1-20000.ini", 0o644, False),
    ]
    assert "s3cr3t" not in str(display(parsed(environment={"PW": {"secret": "pw"}})))


NAMES = st.from_regex(r"X_[A-Z]{1,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_value_arrives_unchanged_in_the_process(values: dict[str, str]) -> None:
    environment, _script, _program = made(environment={name: {"secret": name} for name in values}, secrets=values)
    command = ["/bin/sh", "-c", 'set -a; eval "$1"; exec env -0', "sh", environment.text]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    seen = dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair.startswith("X_"))
    assert seen == values


def test_the_digest_tells_another_secret_from_the_same() -> None:
    run = {"environment": {"PW": {"secret": "pw"}}}
    same, again, other = (digest_of_files(made({"pw": value}, **run)) for value in ("a", "a", "b"))
    assert same == again != other


def test_the_digest_of_the_first_records_still_holds() -> None:
    # Of version 0.1.0: another one would start every instance again.
    assert digest_of_files(made(environment={"A": "b"})) == "5991b7472f88b23f5603d5a77439698756ff80592ab96a979d05a50c90bf1ade"


def test_every_missing_secret_is_named_and_no_value_is_shown() -> None:
    with pytest.raises(AutoscaleError) as caught:
        made({"other": "hidden"}, environment={"A": {"secret": "one"}, "B": {"secret": "two"}})
    assert "'one'" in caught.value.message and "'two'" in caught.value.message and "hidden" not in caught.value.message


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"provider": "podman"}, "run.provider 'podman' is not implemented"),
        ({"command": " "}, "run.command"),
        ({"command": "'open"}, "cannot be split"),
        ({"user": "root; rm"}, "run.user"),
        ({"user": "a\nb"}, "run.user"),
        ({"environment": {"1A": "x"}}, "the name '1A'"),
        ({"environment": {"A": 5}}, "run.environment.A"),
        ({"environment": {"A": {"secret": "x", "more": 1}}}, "run.environment.A"),
        ({"artifact": {"url": "/a", "checksum": "md5:1"}}, "checksum"),
        ({"artifact": None}, "needs run.artifact"),
        ({"stop_grace": -1}, "stop_grace"),
        ({"stop_grace": True}, "stop_grace"),
        ({"resources": {"cpu": 0}}, "run.resources.cpu 0"),
        ({"resources": {"memory": "2"}}, "run.resources.memory '2'"),
        ({"resources": {"memory": 2**28}}, "run.resources.memory is not allowed: needs provider systemd"),
        ({"provider": "systemd", "pre_start": "migrate"}, "run.pre_start is not allowed: needs run.user"),
    ],
)
def test_what_is_wrong_is_refused_by_name(run: dict[str, Any], words: str) -> None:
    with pytest.raises(AutoscaleError, match="shop-app1-20000") as caught:
        made(**run)
    assert words in caught.value.message


@pytest.mark.parametrize("folder", ["relative", "/a b", "/a%(x)s", "/a;b", "/a/../b", "/a\nb", ""])
def test_a_folder_that_a_configuration_could_misread_is_refused(folder: str) -> None:
    with pytest.raises(AutoscaleError, match="state_dir"):
        Paths(folder)
    with pytest.raises(AutoscaleError, match="systemd_unit_dir"):
        safe_folder("systemd_unit_dir", folder)


def test_the_program_is_stopped_and_killed_as_described() -> None:
    program = made(stop_grace=2.5, user="shop")[-1].text
    assert "[program:shop-app1-20000]\n" in program
    assert {"stopwaitsecs=3", "stopsignal=TERM", "autorestart=true", "user=shop"} <= set(program.splitlines())


def test_folders_of_versions_differ_by_content() -> None:
    other = parsed(artifact={"url": "/a.tgz", "checksum": "sha256:" + "B" * 64})
    assert parsed().version_folder == "1.4.2-aaaaaaaaaaaa"
    assert other.version_folder == "1.4.2-bbbbbbbbbbbb"
