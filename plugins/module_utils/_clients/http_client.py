# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A small HTTP client over requests: keep-alive, time-outs, bounded retries, no redirects, no secrets in errors."""

from __future__ import annotations

import itertools
import os
import platform
import re
import sys
import time
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence
from urllib.parse import quote, unquote, urlsplit

from .._domain.errors import AutoscaleError
from .http_faults import Advice, cause_of, explained, look_at
from .retries import Failure, pause, retry_after_of
from .secrets import Secrets
from .unix_adapter import UnixAdapter

try:
    import requests
    from urllib3.exceptions import HTTPError as TransportError
    from urllib3.exceptions import NewConnectionError
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True

UNIX = "unix://"
_WEB = ("http://", "https://")
# What may stand in a header; the library's own error would repeat the value.
_HEADER = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?")
_SHOWN_CHARACTERS = 500


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
        AutoscaleError: a part is "." or "..", which a URL cannot carry: they would name another path.
    """
    for part in parts:
        if part in (".", ".."):
            raise AutoscaleError(f"{'/'.join(parts)}: {part!r} is not allowed as a name in a URL")
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
        base_url: scheme, host and port, with an optional path in front of all requests; or unix:// and the path of a socket.
        what: the server's name in errors, such as "Consul".
        headers: sent with every request; their values never appear in an error.
        ca_path: file of the certificate authority; None uses the system's.
        client_cert: file with the certificate that the server asks for.
        client_key: file with its key; None when client_cert holds it as well.
        timeout: seconds for connecting and for each read.
        advice: what a user looks at after an error.
        judge: told status and body; what is known of the request, None where it does not know. See retries.py.
        explain: told "GET /path" without quotes, status, body and the JSON that was sent; what to look at, empty where it does not know.
    """

    def __init__(
        self,
        base_url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        ca_path: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = 10.0,
        advice: Advice | None = None,
        judge: Callable[[int, str], Failure | None] | None = None,
        explain: Callable[[str, int, str, Any], str] | None = None,
    ) -> None:
        require_requests()
        if not base_url.startswith((*_WEB, UNIX)):
            raise AutoscaleError(f"{what}: {base_url!r} is not a URL: must begin with http:// or https://, or with unix:// for a socket")
        self.what = what
        self._timeout = timeout
        self._advice = advice or Advice()
        self._judge = judge or (lambda status, body: None)
        self._explain = explain or (lambda asked, status, body, sent: "")
        self._session = requests.Session()
        self._session.trust_env = False
        if base_url.startswith(UNIX):
            user, password = "", ""
            self.base_url, self._origin = base_url, "http://localhost"
            self._session.mount("http://", _unix_adapter(base_url, what))
        else:
            base_url, user, password = _without_user(base_url, what)
            self.base_url = self._origin = base_url.rstrip("/")
        if user:
            # Bytes, since the library knows Latin-1 only.
            self._session.auth = requests.auth.HTTPBasicAuth(user.encode(), password.encode())
        for name, value in (headers or {}).items():
            if not _HEADER.fullmatch(value):
                raise AutoscaleError(f"{what}: the value of the header {name} has characters that a header cannot have")
        self._secrets = Secrets(headers or {}, user, password)
        self._session.headers.update(headers or {})
        if ca_path:
            self._session.verify = _readable(ca_path, self._advice.authority)
        if client_cert:
            certificate = _readable(client_cert, self._advice.certificate)
            # Named twice, since requests asks for the password of an encrypted key on the terminal otherwise.
            self._session.cert = (certificate, _readable(client_key, self._advice.certificate) if client_key else certificate)
        elif client_key:
            raise AutoscaleError(f"{what}: there is a key and no certificate: look at {self._advice.certificate}")

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
        repeatable: bool = False,
    ) -> requests.Response:
        """Send one request, again where retries.py says so, and return the answer.

        Args:
            path: see path_of.
            timeout: seconds, in place of the client's; no further sending begins later than that, or than a failure's patience.
            allow: statuses besides 2xx that are returned and not raised.
            repeatable: doing it twice leaves what doing it once leaves; GET is so by itself.

        Raises:
            Unreachable: no complete answer.
            HttpError: a status that is neither 2xx nor in allow.
        """
        asked = f"{method} {path}"
        seconds = timeout or self._timeout
        repeatable = repeatable or method == "GET"
        began = time.monotonic()
        for attempt in itertools.count(1):
            options = {"params": params, "json": json, "data": data, "timeout": seconds, "allow_redirects": False}
            answer = self._once(method, asked, options)
            if not isinstance(answer, _Fault):
                return answer
            if answer.response is not None and answer.response.status_code in tuple(allow):
                return answer.response
            failure = answer.failure
            wait = None
            if failure is not None:
                left = max(seconds, failure.patience) - (time.monotonic() - began)
                wait = pause(failure, attempt=attempt, left=left, repeatable=repeatable)
            if wait is not None:
                time.sleep(wait)
                continue
            raise self._error(answer, attempt)
        raise AssertionError("unreachable")

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
                f"{self.what} at {self.base_url} answered {asked} with something that is not JSON: "
                f"{self._secrets.scrub(response.text)[:200]!r}; look at {self._advice.address}"
            ) from None

    def _once(self, method: str, asked: str, options: Mapping[str, Any]) -> requests.Response | _Fault:
        try:
            response = self._session.request(method, self._origin + asked.partition(" ")[2], **options)
        # Requests' own errors are OSErrors; so is a file of a certificate that cannot be loaded.
        except (OSError, TransportError) as error:
            cause = self._secrets.scrub(cause_of(error))
            hint = look_at(cause, self._advice, sent_bytes=_body_size(error), secure=self._origin.startswith("https"))
            return _Fault(f"gave no answer to {asked}: {cause}; {hint}", _failure_of(error), None)
        expected, came = response.headers.get("Content-Length", ""), response.raw.tell()
        # Older urllib3 takes half an answer for a whole one.
        if method != "HEAD" and expected.isdecimal() and came < int(expected):
            told = f"gave no answer to {asked}: it broke off after {came} of {expected} bytes"
            return _Fault(f"{told}; look whether it runs there, and at {self._advice.address}", Failure(undone=False, passing=False), None)
        if 200 <= response.status_code < 300:
            return response
        return self._refused(asked, response, options["json"])

    def _refused(self, asked: str, response: requests.Response, sent: Any) -> _Fault:
        status, body = response.status_code, self._secrets.scrub(response.text.strip())
        words = f": {body}" if body else f" {self._secrets.scrub(response.reason or '')}".rstrip()
        retry_after = retry_after_of(response.headers.get("Retry-After"))
        failure = self._judge(status, body)
        if status == 429:
            failure = Failure(undone=True, passing=True)
        if failure is not None:
            failure = failure._replace(retry_after=retry_after)
        elif status in (502, 503):
            failure = Failure(undone=False, passing=retry_after is not None, retry_after=retry_after)
        location = self._secrets.scrub(response.headers.get("Location", ""))[:_SHOWN_CHARACTERS]
        hint = self._explain(unquote(asked), status, body, sent) or explained(status, body, location, self._advice)
        told = [f"answered {asked} with {status}{words[:_SHOWN_CHARACTERS]}"]
        if retry_after is not None:
            told.append(f"it asks to wait {retry_after:g} s")
        return _Fault("; ".join([*told, hint] if hint else told), failure, response)

    def _error(self, fault: _Fault, attempts: int) -> AutoscaleError:
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        message = f"{self.what} at {self.base_url} {fault.told}{tried}"
        if fault.response is None:
            return Unreachable(message)
        return HttpError(message, fault.response.status_code, self._secrets.scrub(fault.response.text))


class _Fault(NamedTuple):
    """A request that did not get what it wants.

    Args:
        told: what happened, in words that follow the server's name.
        failure: None where the request is not sent again in any case.
        response: None when no complete one came.
    """

    told: str
    failure: Failure | None
    response: requests.Response | None


def _failure_of(error: Exception) -> Failure | None:
    """A time-out was waited for already, and neither TLS nor a wrong URL mends itself."""
    if not isinstance(error, requests.ConnectionError) and not isinstance(error, requests.exceptions.ChunkedEncodingError):
        return None
    if isinstance(error, (requests.Timeout, requests.exceptions.SSLError)):
        return None
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return Failure(undone=isinstance(reason, NewConnectionError), passing=False)


def _body_size(error: Exception) -> int:
    return len(getattr(getattr(error, "request", None), "body", None) or b"")


def _unix_adapter(url: str, what: str) -> Any:
    path = url[len(UNIX) :]
    if not path.startswith("/"):
        raise AutoscaleError(f"{what}: {url!r} is not allowed: unix:// must be followed by the absolute path of a socket")
    return UnixAdapter(path)


def _readable(path: str, what: str) -> str:
    if not os.access(path, os.R_OK):
        raise AutoscaleError(f"{what}: {path} cannot be read on {platform.node()}")
    return path


def _without_user(url: str, what: str) -> tuple[str, str, str]:
    """The URL without "user:password@", which would end in errors, and the two apart."""
    try:
        parts = urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return bare, unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError as error:
        raise AutoscaleError(f"{what}: its URL is wrong: {error}") from None
