# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.archive import unpack
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.download import fetch, without_credentials
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def tar(path: Path, *members: tarfile.TarInfo) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for info in members:
            info.size = 4 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"text") if info.isreg() else None)
    return str(path)


# The filter came with Python 3.11.4 and later releases of 3.8 to 3.10. Where it is missing, unpacking without it is all that there is.
OLD_PYTHON = [pytest.param(False, marks=pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="needs tarfile.data_filter")), True]

BAD = {
    "absolute": [member("/etc/x")],
    "parent": [member("a/../../x")],
    "symlink out": [member("a", tarfile.SYMTYPE, "../../outside")],
    "absolute symlink": [member("a", tarfile.SYMTYPE, "/etc")],
    "hardlink out": [member("a", tarfile.LNKTYPE, "../outside")],
    "through a link": [member("a", tarfile.SYMTYPE, ".."), member("a/x")],
    "device": [member("null", tarfile.CHRTYPE)],
    "fifo": [member("pipe", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", BAD.values(), ids=BAD)
@pytest.mark.parametrize("old_python", OLD_PYTHON)
def test_a_tar_that_leads_out_is_refused(
    members: list[tarfile.TarInfo], old_python: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old_python:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(AutoscaleError, match="artifact shop"):
        unpack(tar(tmp_path / "a.tgz", *members), str(target), "shop")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tgz", "deep", "target"]


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")
@pytest.mark.parametrize("old_python", OLD_PYTHON)
def test_a_tar_keeps_programs_and_inner_links_and_loses_special_bits(
    old_python: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old_python:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    path = tar(tmp_path / "a.tgz", member("bin/shop", mode=0o6755), member("data", mode=0o644), member("link", tarfile.SYMTYPE, "bin/shop"))
    target = tmp_path / "target"
    target.mkdir()
    unpack(path, str(target), "shop")
    assert stat.S_IMODE((target / "bin" / "shop").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "data").stat().st_mode) == 0o644
    assert (target / "link").read_text() == "text"


def test_a_zip_keeps_programs_and_may_not_lead_out_or_hold_links(tmp_path: Path) -> None:
    def make(name: str, mode: int) -> str:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, "text")
        return str(path)

    target = tmp_path / "target"
    target.mkdir()
    unpack(make("bin/shop", 0o100755), str(target), "shop")
    assert stat.S_IMODE((target / "bin" / "shop").stat().st_mode) == 0o755
    with pytest.raises(AutoscaleError, match="leads out"):
        unpack(make("../x", 0o100644), str(target), "shop")
    with pytest.raises(AutoscaleError, match="is a link"):
        unpack(make("x", stat.S_IFLNK | 0o777), str(target), "shop")
    (tmp_path / "no.txt").write_text("nothing")
    with pytest.raises(AutoscaleError, match="neither a tar nor a zip"):
        unpack(str(tmp_path / "no.txt"), str(target), "shop")


def test_a_fetched_file_is_verified_or_not_there(tmp_path: Path) -> None:
    source, target = tmp_path / "a b", tmp_path / "target"
    source.write_bytes(b"content")
    good = hashlib.sha256(b"content").hexdigest()
    for url in (str(source), f"file://{tmp_path}/a%20b"):
        fetch(url, str(target), good)
        assert target.read_bytes() == b"content" and stat.S_IMODE(target.stat().st_mode) == 0o600
        target.unlink()
    wrong = [(str(source), "0" * 64, "checksum is wrong"), ("ftp://x/y", good, "must be"), ("relative", good, "must be")]
    for url, checksum, words in wrong:
        with pytest.raises(AutoscaleError, match=words):
            fetch(url, str(target), checksum)
        assert not target.exists()


def test_urls_in_messages_have_no_credentials() -> None:
    assert without_credentials("https://me:secret@host:8443/a.tgz?X-Signature=abc#d") == "https://host:8443/a.tgz"
