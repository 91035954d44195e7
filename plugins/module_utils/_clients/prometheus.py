# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Prometheus' HTTP API: instant and range queries."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

from .._domain.errors import AutoscaleError
from .http_client import HttpClient, path_of

# Longer ones go in a POST body: proxies and servers limit the length of a URL, often to 2 or 4 KiB.
_LONGEST_IN_URL = 1500
# Prometheus explains itself in the body of these: bad query, failed execution, time-out.
_EXPLAINED = (400, 422, 503)


class BadQuery(AutoscaleError):
    """Prometheus understood the request and refused or failed the query; the message has its own words."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One series' value at one time.

    Args:
        value: NaN and infinities are passed on as they are.
        timestamp: of the evaluation, seconds since 1970; not the time of the scrape.
    """

    labels: Mapping[str, str]
    value: float
    timestamp: float


class Prometheus:
    """One Prometheus server, or another one with its query API.

    Args:
        url: with the path prefix, where there is one.
        token: bearer token, sent in a header only.
        ca_path: file of the certificate authority for https.
        timeout: seconds, also given to the server as the query's limit.

    Attributes:
        warnings: what Prometheus remarked on the last query, such as a partial answer.
    """

    def __init__(self, url: str, *, token: str | None = None, ca_path: str | None = None, timeout: float = 10.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = HttpClient(url, what="Prometheus", headers=headers, ca_path=ca_path, timeout=timeout)
        self._timeout = timeout
        self.url = self._http.base_url
        self.warnings: tuple[str, ...] = ()

    def query(self, expr: str, time: float | None = None) -> list[Sample]:
        """The value of every series of an expression at one time (now by default); a scalar is one sample without labels.

        Raises:
            Unreachable: no complete answer.
            BadQuery: Prometheus refused the query, or the result has no numbers.
        """
        result = self._ask("query", expr, {} if time is None else {"time": repr(float(time))})
        if result["resultType"] == "vector":
            return [_sample(series["metric"], series["value"]) for series in result["result"]]
        if result["resultType"] == "scalar":
            return [_sample({}, result["result"])]
        raise BadQuery(f"the query {expr!r} gives a {result['resultType']}: an instant vector or a scalar is needed")

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[tuple[Mapping[str, str], list[tuple[float, float]]]]:
        """Labels and (time, value) pairs of every series from start to end, both included; times and step in seconds."""
        result = self._ask("query_range", expr, {"start": repr(float(start)), "end": repr(float(end)), "step": repr(float(step))})
        return [(series["metric"], [(float(at), float(value)) for at, value in series["values"]]) for series in result["result"]]

    def _ask(self, endpoint: str, expr: str, params: dict[str, str]) -> Any:
        self.warnings = ()
        asked = {"query": expr, "timeout": f"{max(1, int(self._timeout * 1000))}ms", **params}
        path = path_of("api", "v1", endpoint)
        if len(expr) > _LONGEST_IN_URL:
            response = self._http.request("POST", path, data=asked, allow=_EXPLAINED)
        else:
            response = self._http.request("GET", path, params=asked, allow=_EXPLAINED)
        answer = self._http.parsed(response)
        if not isinstance(answer, dict) or answer.get("status") != "success":
            told = answer if isinstance(answer, dict) else {}
            raise BadQuery(
                f"Prometheus at {self.url} could not answer the query {expr!r}: "
                f"{told.get('errorType', f'status {response.status_code}')}: {told.get('error', 'no reason given')}"
            )
        self.warnings = tuple(str(text) for text in answer.get("warnings") or ())
        return answer["data"]


def _sample(labels: Mapping[str, str], pair: list[Any]) -> Sample:
    return Sample(labels, float(pair[1]), float(pair[0]))
