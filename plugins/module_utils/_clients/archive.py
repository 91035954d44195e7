# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Unpacks an archive whose members are not trusted: nothing is ever written outside of the target folder."""

from __future__ import annotations

import os
import pathlib
import posixpath
import shutil
import stat
import tarfile
import zipfile

from .._domain.errors import AutoscaleError


def unpack(archive: str, target: str, name: str) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip file into an empty folder.

    Args:
        name: what to call the archive in errors.

    Raises:
        AutoscaleError: names the member that is refused; the folder may hold a part then and is the caller's to remove.
    """
    try:
        if tarfile.is_tarfile(archive):
            _unpack_tar(archive, target, name)
        elif zipfile.is_zipfile(archive):
            _unpack_zip(archive, target, name)
        else:
            raise AutoscaleError(f"artifact {name} is neither a tar nor a zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise AutoscaleError(f"artifact {name} cannot be unpacked: {error}") from None


def _unpack_tar(archive: str, target: str, name: str) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                raise AutoscaleError(f"artifact {name}: the member {member.name!r} is neither a file, a folder nor a link")
            _inside(target, member.name, name, member.name)
            if member.issym():
                _inside(target, posixpath.join(posixpath.dirname(member.name), member.linkname), name, member.name)
            elif member.islnk():
                _inside(target, member.linkname, name, member.name)
        if hasattr(tarfile, "data_filter"):
            tar.extractall(target, members=members, filter="data")
            return
        # Older Python: what the filter does. A link could lead a later member out of the folder, so links come last.
        for member in sorted(members, key=lambda entry: entry.issym()):
            member.mode &= 0o755
            if member.isdir() or member.mode & stat.S_IXUSR == 0:
                member.mode |= 0o755 if member.isdir() else 0o644
            member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            tar.extract(member, target)


def _unpack_zip(archive: str, target: str, name: str) -> None:
    with zipfile.ZipFile(archive) as package:
        for entry in package.infolist():
            mode = entry.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise AutoscaleError(f"artifact {name}: the member {entry.filename!r} is a link, which is not allowed in a zip archive")
            path = _inside(target, entry.filename, name, entry.filename)
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with package.open(entry) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file)
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def _inside(target: str, path: str, name: str, member: str) -> pathlib.Path:
    # By the text alone: the members are not there yet.
    relative = posixpath.normpath(path)
    if path.startswith("/") or relative == ".." or relative.startswith("../"):
        raise AutoscaleError(f"artifact {name}: the member {member!r} leads out of its own folder; nothing was unpacked")
    return pathlib.Path(target, relative)
