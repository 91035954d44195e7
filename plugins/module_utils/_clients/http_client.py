# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A small HTTP client over requests: keep-alive, time-outs, bounded retries, no redirects, no secrets in errors."""

from __future__ import annotations

import platform
import sys
from typing import Any, Iterable, Mapping, Sequence
from urllib.parse import quote, unquote, urlsplit

from .._domain.errors import AutoscaleError, quoted

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True


class Unreachable(AutoscaleError):
    """No complete answer came: connection refused, time-out, broken off."""


class HttpError(AutoscaleError):
    """An answer with a status that the caller did not allow."""

    def __init__(self, message: str, status: int, body: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


def path_of(*parts: str) -> str:
    """Return a URL path; every part is quoted, so that an ID with a slash or a question mark stays one part.

    Raises:
        AutoscaleError: a part is "." or "..": quoted or not, the library and the server take it for a step along the path.
    """
    if not {".", ".."}.isdisjoint(parts):
        raise AutoscaleError(f"a part of the path {quoted('/'.join(parts))} is . or .., which no URL can hold as a name")
    return "/" + "/".join(quote(part, safe="") for part in parts)


def require_requests() -> None:
    """Raise AutoscaleError naming host and interpreter when the requests library is missing."""
    if not HAS_REQUESTS:
        raise AutoscaleError(
            f"the Python library 'requests' is missing on {platform.node()} for {sys.executable}: "
            "install it there (Debian: python3-requests), or run the playbook microservices.autoscale.prepare"
        )


class HttpClient:
    """Talks to one server.

    Args:
        base_url: scheme, host and port, with an optional path in front of all requests.
        what: the server's name in errors, such as "Consul".
        headers: sent with every request; their values never appear in an error.
        ca_path: file of the certificate authority; None uses the system's.
        timeout: seconds for connecting and for each read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        ca_path: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        require_requests()
        if not base_url.startswith(("http://", "https://")):
            raise AutoscaleError(f"{what}: {base_url!r} is not a URL: must begin with http:// or https://")
        base_url, user, password = _without_user(base_url)
        self.base_url = base_url.rstrip("/")
        self.what = what
        self._timeout = timeout
        # "Bearer abc": a server may echo the second word alone.
        self._secrets = tuple(part for value in (headers or {}).values() for part in (value, value.split(" ")[-1]) if part)
        self._session = requests.Session()
        self._session.trust_env = False
        if user:
            self._session.auth = (user, password)
            self._secrets += (password,) if password else ()
        self._session.headers.update(headers or {})
        if ca_path:
            self._session.verify = ca_path
        retry = Retry(total=2, backoff_factor=0.2, status_forcelist=(429, 502, 503), allowed_methods=("GET",), raise_on_status=False)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, str]] | None = None,
        json: Any = None,
        data: Any = None,
        timeout: float | None = None,
        allow: Iterable[int] = (),
    ) -> requests.Response:
        """Send one request and return the answer.

        Args:
            method: GET is retried on connection errors, 429, 502 and 503; everything else is sent once.
            path: see path_of.
            timeout: seconds, in place of the client's.
            allow: statuses besides 2xx that are returned and not raised.

        Raises:
            Unreachable: no complete answer.
            HttpError: a status that is neither 2xx nor in allow.
        """
        url = self.base_url + path
        try:
            response = self._session.request(
                method, url, params=params, json=json, data=data, timeout=timeout or self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(self._scrub(f"{self.what} at {self.base_url} gave no answer to {method} {path}: {_cause(error)}")) from None
        if response.ok and response.status_code < 300 or response.status_code in tuple(allow):
            return response
        raise HttpError(
            self._scrub(
                f"{self.what} at {self.base_url} answered {method} {path} with {response.status_code}: {response.text.strip()[:500]}"
            ),
            response.status_code,
            response.text,
        )

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the parsed JSON body; raises Unreachable when it is not JSON."""
        return self.parsed(self.request(method, path, **options))

    def parsed(self, response: requests.Response) -> Any:
        """The JSON body of an answer; raises Unreachable when it is not JSON."""
        try:
            return response.json()
        except ValueError:
            asked = f"{response.request.method} {urlsplit(response.request.url or '').path}"
            raise Unreachable(
                self._scrub(f"{self.what} at {self.base_url} answered {asked} with something that is not JSON: {response.text[:200]!r}")
            ) from None

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _without_user(url: str) -> tuple[str, str, str]:
    """The URL without "user:password@", which would end in errors, and the two apart."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, unquote(parts.username or ""), unquote(parts.password or "")


def _cause(error: BaseException) -> str:
    """The innermost reason: requests wraps urllib3, which wraps the operating system's words."""
    reason: Any = error.args[0] if error.args else error
    while getattr(reason, "reason", None) is not None:
        reason = reason.reason
    text = str(reason)
    return text.rsplit(">: ", maxsplit=1)[-1] or type(error).__name__
