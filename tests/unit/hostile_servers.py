# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers of a pool as somebody might register them who wants to reach a balancer's file, as hypothesis' strategies."""

from __future__ import annotations

from typing import Any

from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balance import ALGORITHMS
from hypothesis import strategies as st

# What means something to a balancer, a shell, a template, a path or a terminal.
PIECES = ("\n", "\r\n", "\0", " ", "%", "%;}", "; } server { listen 9", "\n    http-request return", "#", '"', "'", "$x", "}", "{{ 7 }}")
PIECES += ("../", "\\", "~", "*", ",", "[", "]", "\x1b[2J", "\u202e", "\u0661", "-", ":", "x" * 300)

ANYTHING = st.one_of(
    st.text(max_size=20),
    st.integers(-5, 70000),
    st.none(),
    st.booleans(),
    st.floats(),
    st.sampled_from(["shop-a-1\n", "a;b", "a b", "127.0.0.1; }", "1.2.3.4\n", "::1", "::1%x", "[::1]", "127.1", "a\0b", *PIECES]),
)
_VALID = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,12}", fullmatch=True),
        "address": st.ip_addresses().map(str),
        "port": st.integers(1, 65535),
        "weight": st.integers(0, 256),
    }
)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """One whose id or address, which alone are text, has something more in it."""
    server = draw(_VALID)
    field = draw(st.sampled_from(["id", "address"]))
    piece = draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)))
    end = len(server[field])
    place = draw(st.one_of(st.just(end), st.just(0), st.integers(0, end)))
    return {**server, field: server[field][:place] + piece + server[field][place:]}


@st.composite
def _odd(draw: st.DrawFn) -> dict[str, Any]:
    """One with anything at all in one field."""
    return {**draw(_VALID), draw(st.sampled_from(["id", "address", "port", "weight"])): draw(ANYTHING)}


SERVERS = st.lists(st.one_of(_VALID, _spoilt(), _odd()), max_size=4)


def _spoilt_text(*valid: str) -> st.SearchStrategy[Any]:
    """One of these, as it is or with a piece of something else in it, or anything at all."""
    pieces = st.one_of(st.sampled_from(PIECES), st.text(max_size=5))
    return st.one_of(st.sampled_from(valid), st.builds("{}{}".format, st.sampled_from(valid), pieces), ANYTHING)


_COUNTS = st.one_of(st.integers(1, 5000), ANYTHING)
# Keys of a `balance` block, each with something in it that may be wrong.
BALANCES = st.fixed_dictionaries(
    {},
    optional={
        "mode": _spoilt_text("http", "tcp"),
        "algorithm": _spoilt_text(*ALGORITHMS),
        "hash_key": _spoilt_text("uri", "header:X-User", "header:Cookie"),
        "max_connections": _COUNTS,
        "max_queue": _COUNTS,
        "slow_start": st.one_of(st.floats(0, 60), _spoilt_text("10s", "1m")),
        "sticky_cookie": _spoilt_text("SHOP"),
        "rate_limit": _COUNTS,
        "certificate": _spoilt_text("/etc/ssl/shop.pem"),
        "routes": st.lists(
            st.fixed_dictionaries(
                {"service": _spoilt_text("cart", "api")}, optional={"host": _spoilt_text("www.example.com"), "path": _spoilt_text("/cart")}
            ),
            max_size=3,
        ),
        "timeouts": st.dictionaries(st.sampled_from(["connect", "response", "client", "queue"]), st.one_of(st.floats(0.05, 99), ANYTHING)),
    },
)
