# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance import Instance, Paths
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance_files import (
    Texts,
    command_line,
    display,
    texts,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PATHS = Paths("/var/lib/autoscale", "/etc/supervisord.d")
CHECKSUM = "a" * 64


def parsed(**run: Any) -> Instance:
    raw = {
        "service": "shop",
        "id": "shop-app1-20000",
        "address": "192.0.2.1",
        "port": 20000,
        "version": "1.4.2",
        "run": {"command": "{path}/bin/shop", "artifact": {"url": "/a.tgz", "checksum": f"sha256:{CHECKSUM}"}, **run},
    }
    return Instance.parse(raw, with_run=True)


def made(secrets: dict[str, str] | None = None, **run: Any) -> Texts:
    return texts(parsed(**run), PATHS, secrets or {})


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
    files = made({"pw": "s3cr3t"}, environment={"PW": {"secret": "pw"}, "AT": "{port}"})
    assert files.environment == "AT=20000\nPW=s3cr3t\n"
    assert "s3cr3t" not in files.script + files.program
    assert "s3cr3t" not in str(display(parsed(environment={"PW": {"secret": "pw"}})))


NAMES = st.from_regex(r"X_[A-Z]{1,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_value_arrives_unchanged_in_the_process(values: dict[str, str]) -> None:
    environment = made(environment={name: {"secret": name} for name in values}, secrets=values).environment
    command = ["/bin/sh", "-c", 'set -a; eval "$1"; exec env -0', "sh", environment]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    seen = dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair.startswith("X_"))
    assert seen == values


def test_the_digest_tells_another_secret_from_the_same() -> None:
    run = {"environment": {"PW": {"secret": "pw"}}}
    assert made({"pw": "a"}, **run).digest == made({"pw": "a"}, **run).digest != made({"pw": "b"}, **run).digest


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
    ],
)
def test_what_is_wrong_is_refused_by_name(run: dict[str, Any], words: str) -> None:
    with pytest.raises(AutoscaleError, match="shop-app1-20000") as caught:
        made(**run)
    assert words in caught.value.message


@pytest.mark.parametrize("folder", ["relative", "/a b", "/a%(x)s", "/a;b", "/a/../b", "/a\nb", ""])
def test_a_folder_that_a_configuration_could_misread_is_refused(folder: str) -> None:
    with pytest.raises(AutoscaleError, match="state_dir"):
        Paths(folder, "/etc/x")


def test_the_program_is_stopped_and_killed_as_described() -> None:
    program = made(stop_grace=2.5, user="shop").program
    assert "[program:shop-app1-20000]\n" in program
    assert {"stopwaitsecs=3", "stopsignal=TERM", "autorestart=true", "user=shop"} <= set(program.splitlines())


def test_folders_of_versions_differ_by_content() -> None:
    other = parsed(artifact={"url": "/a.tgz", "checksum": "sha256:" + "B" * 64})
    assert parsed().version_folder == "1.4.2-aaaaaaaaaaaa"
    assert other.version_folder == "1.4.2-bbbbbbbbbbbb"
