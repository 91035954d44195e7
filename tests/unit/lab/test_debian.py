# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the lab's set-up takes Debian's packages from."""

from __future__ import annotations

from pathlib import Path

import debian
import pytest
import setup

ONE_LINE = """\
# deb http://mirror.example/commented bookworm main
deb-src http://mirror.example/debian bookworm main
deb [signed-by=/usr/share/keyrings/own.gpg arch=amd64] http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian-security bookworm-security main
deb http://other.example/debian bookworm contrib
deb http://other.example/tools bookworm-tools main
"""
DEB822 = """\
Types: deb deb-src
# a comment between fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/own.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Enabled: no
"""


def etc(
    folder: Path, name: str, text: str, release: str = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n'
) -> tuple[Path, Path]:
    (folder / "apt" / "sources.list.d").mkdir(parents=True)
    (folder / "apt" / name).write_text(text)
    (folder / "os-release").write_text(release)
    return folder / "apt", folder / "os-release"


def test_one_line_sources(tmp_path: Path) -> None:
    lines = debian.source_lines(["haproxy"], *etc(tmp_path, "sources.list", ONE_LINE))
    assert lines[0] == "deb [signed-by=/usr/share/keyrings/own.gpg] http://mirror.example/debian bookworm main"
    assert lines[1].endswith("http://mirror.example/debian-security bookworm-security main")
    assert len(lines) == 2


def test_deb822_sources(tmp_path: Path) -> None:
    lines = debian.source_lines(["haproxy"], *etc(tmp_path, "sources.list.d/debian.sources", DEB822))
    option = "[signed-by=/usr/share/keyrings/own.gpg]"
    assert lines == [f"deb {option} http://mirror.example/debian {suite} main" for suite in ("bookworm", "bookworm-updates")]


def test_consul_comes_from_the_same_archive_of_an_older_release(tmp_path: Path) -> None:
    lines = debian.source_lines(["consul"], *etc(tmp_path, "sources.list", ONE_LINE))
    assert lines == ["deb [signed-by=/usr/share/keyrings/own.gpg] http://mirror.example/debian bullseye main"]


@pytest.mark.parametrize(("release", "suites"), [("trixie", ["trixie"]), ("experimental", ["experimental", "sid"])])
def test_another_release_comes_from_the_same_archive_with_what_is_below_it(tmp_path: Path, release: str, suites: list[str]) -> None:
    lines = debian.source_lines(["haproxy"], *etc(tmp_path, "sources.list", ONE_LINE), release=release)
    assert lines == [f"deb [signed-by=/usr/share/keyrings/own.gpg] http://mirror.example/debian {suite} main" for suite in suites]


@pytest.mark.parametrize("release", ["ID=ubuntu\nVERSION_CODENAME=bookworm\n", "ID=debian\nVERSION_CODENAME=trixie\n", ""])
def test_other_systems_are_refused(tmp_path: Path, release: str) -> None:
    with pytest.raises(debian.NotAvailable, match="no source of Debian's own packages"):
        debian.source_lines(["consul"], *etc(tmp_path, "sources.list", ONE_LINE, release))


def test_without_apt_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _package in setup.PROGRAMS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(setup.shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(
        setup.SetupError, match=r"(?s)not installed: consul \(or set CONSUL_BINARY\).*Install HashiCorp Consul 1.8 or later"
    ):
        setup.find_programs(tmp_path)


def test_a_variable_that_names_no_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_BINARY", str(tmp_path / "nowhere"))
    with pytest.raises(setup.SetupError, match="CONSUL_BINARY=.*nowhere is not a program"):
        setup.find_programs(tmp_path)
