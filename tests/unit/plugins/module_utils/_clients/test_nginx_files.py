# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nginx's configuration on disk: what is included, where the master's log is, what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.nginx import ErrorLog, NginxFiles
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError


def files(home: Path, base: str) -> NginxFiles:
    """A folder as Debian has it."""
    for folder in ("conf.d", "sites-enabled", "snippets"):
        (home / folder).mkdir(exist_ok=True)
    (home / "nginx.conf").write_text(base.replace("HOME", str(home)))
    return NginxFiles(str(home / "conf.d"), str(home / "nginx.conf"), "nginx")


def test_every_file_that_is_read_is_found_and_no_other(tmp_path: Path) -> None:
    tree = files(tmp_path, "http { include HOME/conf.d/*.conf; include sites-enabled/*; include snippets/no.conf; }")
    for name, text in (
        ("conf.d/autoscale_shop.conf", "server { include snippets/tls.conf; }"),
        ("conf.d/.autoscale_shop.conf.before", "listen 1;"),
        ("conf.d/notes.txt", "listen 1;"),
        ("sites-enabled/default", "server { listen 80; }"),
        ("snippets/tls.conf", "include snippets/tls.conf; # once is enough"),
        ("snippets/unused.conf", "listen 1;"),
    ):
        (tmp_path / name).write_text(text)
    found = {str(path.relative_to(tmp_path)) for path in tree.texts()}
    assert found == {"nginx.conf", "conf.d/autoscale_shop.conf", "sites-enabled/default", "snippets/tls.conf"}
    assert tree.file("shop") in tree.texts()


@pytest.mark.parametrize(
    ("base", "well"),
    [
        ("http { include HOME/conf.d/*.conf; }", True),
        ('http {\n  include "conf.d/*.conf";\n}', True),
        ("http { include HOME/snippets/../conf.d/*.conf; }", True),
        ("include HOME/conf.d/*.conf; http {}", False),
        ("stream { include HOME/conf.d/*.conf; }", False),
        ("http { server { include HOME/conf.d/*.conf; } }", False),
        ("http { # include HOME/conf.d/*.conf;\n}", False),
        # Our working files would be read, too.
        ("http { include HOME/conf.d/*; }", False),
        ("http { include HOME/sites-enabled/*.conf; }", False),
    ],
)
def test_the_folder_has_to_be_included_inside_http(tmp_path: Path, base: str, well: bool) -> None:
    tree = files(tmp_path, base)
    if well:
        tree.require()
        return
    with pytest.raises(AutoscaleError, match=r"does not include .*/conf\.d/\*\.conf inside its http block"):
        tree.require()


BOTH = "http { include HOME/conf.d/*.conf; } stream { include conf.d/*.stream; }"


def test_a_service_of_mode_tcp_has_its_file_in_the_stream_block(tmp_path: Path) -> None:
    tree = files(tmp_path, BOTH)
    tree.place("shop", "http")
    tree.place("raw", "tcp")
    tree.write("shop", "server { listen 1; }")
    tree.write("raw", "server { listen 2; }")
    assert {path.name for path in tree.texts()} == {"nginx.conf", "autoscale_shop.conf", "autoscale_raw.stream"}
    # Whoever comes later and does not know the mode finds it.
    later = files(tmp_path, BOTH)
    for service in ("shop", "raw", "none"):
        later.place(service, None)
    assert (later.read("shop"), later.read("raw"), later.read("none")) == ("server { listen 1; }", "server { listen 2; }", None)


def test_the_mode_does_not_change_while_the_service_is_there(tmp_path: Path) -> None:
    tree = files(tmp_path, BOTH)
    tree.place("shop", "tcp")
    tree.write("shop", "server { listen 1; }")
    with pytest.raises(AutoscaleError, match=r"shop has the file .*/autoscale_shop\.stream, for Nginx's stream block, .* remove it first"):
        files(tmp_path, BOTH).place("shop", "http")
    # Nor after a run that was killed when it had removed the file.
    tree.remember("shop")
    tree.write("shop", None)
    with pytest.raises(AutoscaleError, match="stream block"):
        files(tmp_path, BOTH).place("shop", "http")
    later = files(tmp_path, BOTH)
    later.place("shop", None)
    assert later.unsettled("shop")


@pytest.mark.parametrize(
    "base", ["http { include HOME/conf.d/*.conf; }", "http { include HOME/conf.d/*.conf; include HOME/conf.d/*.stream; }"]
)
def test_the_folder_has_to_be_included_inside_stream_only_for_mode_tcp(tmp_path: Path, base: str) -> None:
    tree = files(tmp_path, base)
    tree.require()
    tree.place("shop", "http")
    with pytest.raises(AutoscaleError, match=r"does not include .*/conf\.d/\*\.stream inside its stream block: .*libnginx-mod-stream"):
        tree.place("raw", "tcp")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("error_log /var/log/x.log info; http { error_log /var/log/y.log; }", Path("/var/log/x.log")),
        ("http { error_log /var/log/y.log; }", None),
        ("error_log stderr; http {}", None),
        ("http {}", None),
    ],
)
def test_where_the_master_complains(tmp_path: Path, base: str, expected: Path | None) -> None:
    assert files(tmp_path, base).error_log() == expected


def test_only_what_the_master_says_from_now_on_counts(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text("2026/11/24 14:00:00 [emerg] 7#7: long ago\n")
    log = ErrorLog(path)
    assert log.emergencies(7) == []
    with path.open("a") as handle:
        handle.write("2026/11/24 14:00:01 [notice] 7#7: reconfiguring\n2026/11/24 14:00:01 [emerg] 8#8: a worker's\n")
        handle.write("2026/11/24 14:00:02 [emerg] 7#7: still could not bind()\n")
    assert [line.partition(": ")[2] for line in log.emergencies(7)] == ["still could not bind()"]
    for missing in (None, tmp_path / "no.log"):
        assert ErrorLog(missing).emergencies(7) == []
