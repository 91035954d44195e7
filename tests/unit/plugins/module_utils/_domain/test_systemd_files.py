# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance import Instance, Paths
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance_files import File
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.systemd_files import (
    drop_in_folder,
    environment_file,
    exec_start,
    made_up_user,
    systemd_files,
    template_file,
)

GOLDEN = Path(__file__).parent / "golden"
UNITS = "/etc/systemd/system"
ARTIFACT = {"url": "/a.tgz", "checksum": "sha256:" + "a" * 64}


def made(secrets: dict[str, str] | None = None, port: int = 20000, **run: Any) -> tuple[File, ...]:
    raw = {
        "service": "shop",
        "id": f"shop-app1-{port}",
        "address": "192.0.2.1",
        "port": port,
        "version": "1.4.2",
        "run": {"command": "{path}/bin/shop --listen {address}:{port}", "artifact": ARTIFACT, **run},
    }
    return systemd_files(Instance.parse(raw, with_run=True), Paths("/var/lib/autoscale"), UNITS, secrets or {})


def settings(**run: Any) -> list[str]:
    return made(**run)[-1].text.splitlines()


def test_the_template_is_the_golden_file() -> None:
    template = template_file(UNITS)
    assert (template.path, template.mode) == (f"{UNITS}/microservices-autoscale@.service", 0o644)
    assert template.text == (GOLDEN / "microservices-autoscale@.service").read_text()


def test_the_drop_in_is_the_golden_file_and_holds_no_secret() -> None:
    environment, drop_in = made(
        {"pw": "s3cr3t"},
        user="shop",
        environment={"SHOP_PASSWORD": {"secret": "pw"}, "SHOP_AT": "{address}:{port}"},
        resources={"cpu": 0.5, "memory": 256 * 1024**2},
        stop_grace=2.5,
    )
    assert drop_in.text == (GOLDEN / "instance.conf").read_text()
    assert drop_in.path == f"{UNITS}/microservices-autoscale@shop-app1-20000.service.d/instance.conf"
    assert drop_in.path.startswith(drop_in_folder(UNITS, "shop-app1-20000"))
    assert environment == File(
        "/var/lib/autoscale/instances/shop-app1-20000/environment", 'SHOP_AT="192.0.2.1:20000"\nSHOP_PASSWORD="s3cr3t"\n', 0o600
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({}, {"User=autoscale-shop", "DynamicUser=yes", "TimeoutStopSec=30000ms"}),
        ({"user": "shop"}, {"User=shop"}),
        ({"stop_grace": 0}, {"TimeoutStopSec=1ms"}),
        ({"artifact": None, "command": "shop"}, {'ExecStart=":shop"', "WorkingDirectory=/"}),
        ({"command": "bin/shop"}, {'ExecStart=":/var/lib/autoscale/services/shop/versions/1.4.2-aaaaaaaaaaaa/bin/shop"'}),
        ({"resources": {"cpu": 0.001}}, {"CPUWeight=1"}),
        ({"resources": {"cpu": 3}}, {"CPUWeight=300"}),
        ({"resources": {"cpu": 500}}, {"CPUWeight=10000"}),
        ({"port": 443}, {"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"}),
    ],
)
def test_a_description_becomes_settings(run: dict[str, Any], expected: set[str]) -> None:
    assert expected <= set(settings(**run))


def test_what_is_not_described_is_not_set() -> None:
    names = {line.split("=")[0] for line in settings(user="shop")}
    assert not names & {"DynamicUser", "MemoryMax", "CPUWeight", "CapabilityBoundingSet", "AmbientCapabilities"}


# By systemd.service(5), "COMMAND LINES", and systemd.syntax(7), "QUOTING".
@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["/srv/shop", "--port", "80"], '":/srv/shop" "--port" "80"'),
        (["/srv/a b/shop", "two words"], '":/srv/a b/shop" "two words"'),
        (["shop", ""], '":shop" ""'),
        (["shop", 'a"b', "it's"], '":shop" "a\\"b" "it\'s"'),
        (["shop", "a\\b", "c\\"], '":shop" "a\\\\b" "c\\\\"'),
        (["shop", "100%", "%i"], '":shop" "100%%" "%%i"'),
        # The colon before the program switches variables off, so that a $ stays as it is.
        (["shop", "$HOME", "${HOME}", "$$"], '":shop" "$HOME" "${HOME}" "$$"'),
        (["shop", ";", "|", "#", "&&"], '":shop" ";" "|" "#" "&&"'),
        (["shop", "a\nb\tc\x7f"], '":shop" "a\\x0ab\\x09c\\x7f"'),
        (["shop", "größer \U0001f600"], '":shop" "größer \U0001f600"'),
    ],
)
def test_words_are_quoted_for_a_unit(argv: list[str], value: str) -> None:
    assert exec_start(argv) == value


@pytest.mark.parametrize("program", ["", "@shop", "-shop", ":shop", "+shop", "!shop", "|shop", "./shop", "bin/shop", "/srv/sh\nop"])
def test_a_program_that_a_unit_cannot_name_is_refused(program: str) -> None:
    with pytest.raises(ValueError, match=r"run\.command: the program .* is not allowed with provider systemd"):
        exec_start([program, "x"])


# By systemd.exec(5), "EnvironmentFile=": within double quotes a backslash goes before these four characters, and nothing else is special.
@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", 'A=""\n'),
        ("plain", 'A="plain"\n'),
        ("  outer spaces ", 'A="  outer spaces "\n'),
        ("it's", 'A="it\'s"\n'),
        ('say "hi"', 'A="say \\"hi\\""\n'),
        ("$HOME ${HOME}", 'A="\\$HOME \\${HOME}"\n'),
        ("`id`", 'A="\\`id\\`"\n'),
        ("a\\b\\", 'A="a\\\\b\\\\"\n'),
        ("\\n", 'A="\\\\n"\n'),
        ("two\nlines", 'A="two\nlines"\n'),
        ("# ; = %i", 'A="# ; = %i"\n'),
        ("\ttab\rreturn", 'A="\ttab\rreturn"\n'),
        ("größer \U0001f600", 'A="größer \U0001f600"\n'),
    ],
)
def test_values_are_quoted_for_an_environment_file(value: str, line: str) -> None:
    assert environment_file({"A": value}) == line


@pytest.mark.parametrize("character", ["\ud800", "\ufdd0", "\ufffe", "\U0001ffff", "\ufeff"])
def test_characters_that_systemd_does_not_take_are_refused_without_the_secret(character: str) -> None:
    with pytest.raises(AutoscaleError, match=r"instance shop-app1-20000: run\.environment\.PW has the character U\+") as caught:
        made({"pw": f"s3cr3t{character}"}, environment={"PW": {"secret": "pw"}})
    assert "s3cr3t" not in caught.value.message
    with pytest.raises(AutoscaleError, match=r"run\.command has the character U\+"):
        made(command=f"shop {character}")


def test_made_up_users_are_one_for_each_service_and_short_enough() -> None:
    names = [made_up_user(service) for service in ("shop", "a" * 21, "a" * 22, "a" * 48, "a" * 47 + "b")]
    assert names[:2] == ["autoscale-shop", "autoscale-" + "a" * 21]
    assert len(set(names)) == len(names) and all(len(name) <= 31 for name in names)
