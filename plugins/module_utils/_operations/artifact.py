# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The artifacts of a service on this host: one folder per version, the one in use and the ones before kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Mapping

from .._clients.archive import unpack
from .._clients.download import fetch, without_credentials
from .._domain.errors import AutoscaleError
from .._domain.instance import Instance, Paths, need_run
from .._domain.instance_files import command_line, environment

_TEMPORARY = ".incoming-"
_POLL_SECONDS = 0.2


def is_ready(instance: Instance, paths: Paths) -> bool:
    """The version is unpacked and its pre_start has run, or the instance needs no artifact."""
    path = paths.version(instance)
    if path is None:
        return True
    try:
        return Path(path).is_dir() and _marker(path).read_text(encoding="utf-8") == _pre_start_digest(instance)
    except FileNotFoundError:
        return False


def ensure(instance: Instance, paths: Paths, secrets: Mapping[str, str], account: dict[str, int], tick: Callable[[], None]) -> None:
    """Unpack the version unless it is there whole, and run its pre_start once after that.

    Args:
        account: user, group and extra_groups for pre_start, empty for our own.
        tick: called within waits; what it raises ends them.
    """
    path = paths.version(instance)
    if path is None:
        return
    run = need_run(instance)
    if run.artifact is not None and not _is_whole(path):
        _marker(path).unlink(missing_ok=True)
        _unpack_version(run.artifact.url, run.artifact.checksum, path, tick)
    if not is_ready(instance, paths):
        if run.pre_start is not None:
            _pre_start(instance, run.pre_start, path, secrets, account, tick)
        new = Path(path).with_name(f"{_TEMPORARY}ready")
        new.write_text(_pre_start_digest(instance), encoding="utf-8")
        new.replace(_marker(path))
    # The time of the last use: prune keeps the latest.
    os.utime(_marker(path))


def prune(service: str, paths: Paths, keep: int) -> list[str]:
    """Remove old versions of a service and return their names.

    Versions that an instance on this host uses always stay; of the others so many of the latest that `keep` are there.
    """
    folder = Path(paths.versions(service))
    if not folder.is_dir():
        return []
    in_use = _versions_in_use(service, paths)
    others = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name not in in_use]
    removed = sorted(others, key=_last_use, reverse=True)[max(0, keep - len(in_use)) :]
    for path in removed:
        _marker(path).unlink(missing_ok=True)
        _listing(path).unlink(missing_ok=True)
        # Removed under another name, so that a run that is killed leaves no half version behind.
        doomed = path.with_name(_TEMPORARY + path.name)
        path.rename(doomed)
        shutil.rmtree(doomed)
    return [path.name for path in removed]


def _versions_in_use(service: str, paths: Paths) -> set[str]:
    in_use = set()
    for path in Path(paths.instances).glob("*"):
        try:
            record: dict[str, Any] = json.loads(Path(paths.record(path.name)).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        if record.get("service") == service and record.get("version_folder"):
            in_use.add(record["version_folder"])
    return in_use


def _unpack_version(url: str, checksum: str, path: str, tick: Callable[[], None]) -> None:
    folder = Path(path).parent
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for left in folder.glob(f"{_TEMPORARY}*"):
        # By a run that was killed; the service's lock keeps other runs out.
        _remove(left)
    archive = folder / f"{_TEMPORARY}archive"
    unpacked = folder / f"{_TEMPORARY}unpacked"
    fetch(url, str(archive), checksum, tick=tick)
    try:
        unpacked.mkdir(0o755)
        unpack(str(archive), str(unpacked), without_credentials(url))
        unpacked.chmod(0o755)
        _list_files(unpacked, _listing(path))
        if Path(path).is_dir():
            # Other instances may run from it: what is there stays.
            _put_back(unpacked, Path(path))
        else:
            unpacked.rename(path)
    finally:
        _remove(archive)
        _remove(unpacked)


def _pre_start(
    instance: Instance, command: str, path: str, secrets: Mapping[str, str], account: dict[str, int], tick: Callable[[], None]
) -> None:
    argv = command_line(command, instance, path)
    variables = {"PATH": os.environ.get("PATH", os.defpath), **environment(instance, path, secrets)}
    options: dict[str, Any] = account
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv, cwd=path, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
            )
        except OSError as error:
            raise AutoscaleError(f"instance {instance.id}: pre_start {command!r} cannot be started: {error}") from None
        waited = 0.0
        try:
            while True:
                try:
                    code = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    waited += _POLL_SECONDS
                    tick()
                    if waited > instance.healthy_deadline:
                        raise AutoscaleError(
                            f"instance {instance.id}: pre_start {command!r} did not end within {instance.healthy_deadline:g} s"
                        ) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if code != 0:
        tail = text.strip()[-1000:] or "none"
        raise AutoscaleError(f"instance {instance.id}: pre_start {command!r} ended with {code}. Its last output: {tail}")


def _pre_start_digest(instance: Instance) -> str:
    return hashlib.sha256((need_run(instance).pre_start or "").encode()).hexdigest()


def _marker(path: str | Path) -> Path:
    """Beside the folder, so that the folder holds the artifact's files only."""
    return Path(path).with_name(f"{Path(path).name}.ready")


def _listing(path: str | Path) -> Path:
    """Beside the folder: the files that the artifact had."""
    return Path(path).with_name(f"{Path(path).name}.files")


def _list_files(folder: Path, listing: Path) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    new = listing.with_name(f"{_TEMPORARY}files")
    new.write_text(json.dumps(names), encoding="utf-8")
    new.replace(listing)


def _is_whole(path: str) -> bool:
    """None of the artifact's files was removed since."""
    if not Path(path).is_dir():
        return False
    try:
        names = json.loads(_listing(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return all(os.path.lexists(os.path.join(path, name)) for name in names)


def _put_back(source: Path, target: Path) -> None:
    for name in json.loads(_listing(target).read_text(encoding="utf-8")):
        if not os.path.lexists(target / name):
            (target / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            (source / name).replace(target / name)


def _last_use(path: Path) -> float:
    try:
        return _marker(path).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
