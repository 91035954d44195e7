# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Files of ours on this machine's disk."""

from __future__ import annotations

import tempfile
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file that all may read in one step: a reader sees the old one or the new one, also when two write at the same time.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; what was there is unchanged.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise
