# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes to Consul KV until a file appears, and says for how long at the most nothing could be written. Runs on a host, on Python 3.9."""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the key")
    parser.add_argument("--token", required=True)
    parser.add_argument("--out", type=Path, required=True, help="what it says; NAME.end beside it ends it")
    arguments = parser.parse_args()
    end = arguments.out.with_suffix(".end")
    # The last writes that went through, and how many did not.
    written, failed, longest, first = 0, 0, 0.0, time.monotonic()
    last = first
    while not end.exists() and time.monotonic() - first < 600:
        request = urllib.request.Request(arguments.url, data=str(written).encode(), method="PUT")
        request.add_header("X-Consul-Token", arguments.token)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                done = response.read().strip() == b"true"
        except OSError:
            done = False
        now = time.monotonic()
        if done:
            written += 1
            longest = max(longest, now - last)
            last = now
        else:
            failed += 1
        time.sleep(0.05)
    longest = max(longest, time.monotonic() - last)
    arguments.out.write_text(
        json.dumps({"written": written, "failed": failed, "longest_gap": longest, "seconds": time.monotonic() - first})
    )


if __name__ == "__main__":
    main()
