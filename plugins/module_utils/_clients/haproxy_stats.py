# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""HAProxy's statistics page, read as CSV over HTTP."""

from __future__ import annotations

import csv
import dataclasses
from typing import Iterable, Mapping
from urllib.parse import urlsplit

from .._domain.errors import AutoscaleError
from .http_client import HttpClient

_FIRST_COLUMNS = "# pxname,svname,"


class NotStatistics(AutoscaleError):
    """The answer is not HAProxy's CSV: most often the URL is that of another page."""


@dataclasses.dataclass(frozen=True)
class ProxyRow:
    """One line of the statistics; None where HAProxy leaves a column empty, as it does by kind of line and by version.

    Args:
        proxy: the section's name.
        server: the server's name, or FRONTEND or BACKEND for the section's own line.
        status: such as OPEN, UP, DOWN, MAINT, DRAIN or "UP 1/3".
        weight: effective.
        scur: current sessions; qcur: requests in the queue; both now.
        stot, req_tot, hrsp_5xx, econ, eresp, wretr: counters since the process began, and back to 0 at a reload.
        rate: sessions in the last second; req_rate: requests in the last second (frontends only).
        qtime, ctime, rtime, ttime: mean milliseconds over the last 1024 requests: in queue, to connect, to the response's
            headers, in all.
        lastsess: seconds since the last session, -1 for none yet.
        lastchg: seconds since the last change between up and down.
    """

    proxy: str
    server: str
    status: str
    weight: int | None
    scur: int | None
    qcur: int | None
    stot: int | None
    req_tot: int | None
    hrsp_5xx: int | None
    econ: int | None
    eresp: int | None
    wretr: int | None
    rate: int | None
    req_rate: int | None
    qtime: int | None
    ctime: int | None
    rtime: int | None
    ttime: int | None
    lastsess: int | None
    lastchg: int | None


_NUMBERS = tuple(field.name for field in dataclasses.fields(ProxyRow) if field.name not in ("proxy", "server", "status"))


class HaproxyStats:
    """One HAProxy's statistics page.

    Args:
        url: of the page, such as http://127.0.0.1:8404/stats, with user:password@ where it asks for them.
        ca_path: file of the certificate authority for https.
        timeout: seconds.
    """

    def __init__(self, url: str, *, ca_path: str | None = None, timeout: float = 10.0) -> None:
        # Options of the page follow a semicolon, so that it has to stay unquoted.
        parts = urlsplit(url.partition(";")[0])
        self._path = (parts.path.rstrip("/") or "/") + ";csv;norefresh"
        self._http = HttpClient(f"{parts.scheme}://{parts.netloc}", what="HAProxy's statistics page", ca_path=ca_path, timeout=timeout)
        self.url = self._http.base_url + parts.path

    def read(self, proxies: Iterable[str] | None = None) -> list[ProxyRow]:
        """The lines of some sections, of all when None.

        Raises:
            Unreachable, HttpError: no or another answer.
            NotStatistics: the answer is not HAProxy's CSV.
        """
        response = self._http.request("GET", self._path)
        if not response.text.startswith(_FIRST_COLUMNS):
            raise NotStatistics(
                f"{self.url} did not answer with HAProxy's statistics as CSV, but with {response.text[:80]!r}: "
                "it must be the page of 'stats uri'"
            )
        return parse(response.text, proxies)


def parse(text: str, proxies: Iterable[str] | None = None) -> list[ProxyRow]:
    """Typed lines of HAProxy's CSV, which names its columns in the first line after "# "."""
    wanted = None if proxies is None else frozenset(proxies)
    lines = csv.DictReader(text[2:].splitlines())
    return [_row(line) for line in lines if wanted is None or line["pxname"] in wanted]


def _row(line: Mapping[str, str | None]) -> ProxyRow:
    numbers = {name: _number(line.get(name)) for name in _NUMBERS}
    return ProxyRow(line["pxname"] or "", line["svname"] or "", line.get("status") or "", **numbers)


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
