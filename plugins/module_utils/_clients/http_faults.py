# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a fault of HTTP means, and what to look at."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_LARGE_BYTES = 64 * 1024
# The library's name for the connection, where the address is told already.
_POOL = re.compile(r"(?:<.*?>|\w*Connection(?:Pool)?\(.*?\)): ")
_BROKEN_OFF = re.compile(r"broken pipe|reset|aborted|EOF|without response", re.IGNORECASE)
# The words of OpenSSL, of several versions.
_HINTS = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (r"wrong.version.number|record.layer.failure", "look at {address}: nothing there speaks TLS, so that https is wrong"),
        (r"certificate.verify.failed", "look at {authority}, and at the names in the server's certificate"),
        (r"alert.*(certificate|handshake|unknown.ca)", "look at {certificate}: the server asks for one that its authority signed"),
        (r"\[SSL|\[X509|PEM|key.values.mismatch", "look at {authority} and {certificate}"),
        (r"timed out", "it may be stopped or overloaded: look there, and at {timeout}"),
    )
)


class Advice(NamedTuple):
    """What a user looks at, in the words of the options of the client at hand."""

    address: str = "its address"
    authority: str = "the certificate of its authority"
    certificate: str = "the client certificate"
    token: str = "the token"
    timeout: str = "the time-out"


def cause_of(error: BaseException) -> str:
    """The innermost reason: requests wraps urllib3, which wraps the operating system's words."""
    reason: Any = error.args[0] if error.args else error
    while getattr(reason, "reason", None) is not None and not isinstance(reason.reason, str):
        reason = reason.reason
    if isinstance(reason, Exception) and len(reason.args) > 1 and isinstance(reason.args[-1], Exception):
        # ("Connection broken: …", IncompleteRead(…)), ("Connection aborted.", ConnectionResetError(…))
        return f"{str(reason.args[0]).partition(':')[0].rstrip('.')}: {reason.args[-1]}"
    return _POOL.sub("", str(reason)) or type(error).__name__


def look_at(cause: str, advice: Advice, *, sent_bytes: int, secure: bool) -> str:
    """What to look at when no complete answer came.

    Args:
        cause: see cause_of.
        sent_bytes: size of the request's body.
        secure: over TLS, where some servers break off in place of saying that a certificate is missing.
    """
    if sent_bytes > _LARGE_BYTES and _BROKEN_OFF.search(cause):
        return f"it may refuse what is as large as the {sent_bytes} bytes that were sent"
    for pattern, hint in _HINTS:
        if pattern.search(cause):
            return hint.format(**advice._asdict())
    if secure and _BROKEN_OFF.search(cause):
        return f"look whether it runs there, and at {advice.certificate}: it may ask for one that its authority signed"
    return f"look whether it runs there, and at {advice.address}"


def explained(status: int, body: str, location: str, advice: Advice) -> str:
    """What to look at after an answer with this status; empty where the answer's own words are all that is known."""
    if 300 <= status < 400:
        return f"redirects are not followed, this one leads to {location!r}: look at {advice.address}"
    if status == 400 and "http request to an https server" in body.lower():
        return f"look at {advice.address}: it has to begin with https"
    if status == 413:
        return "it is too large for this server"
    if status == 429:
        return "it answers only so many requests at a time: look at its rate limits, or run again later"
    return ""
