# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nginx's configuration language, as far as it is read."""

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.nginx_syntax import directives, listen_endpoints
from hypothesis import given
from hypothesis import strategies as st


def test_directives_know_their_blocks_and_places() -> None:
    text = """
user www-data; # include /etc/no.conf;
http {
    include 'mime types';
    log_format x '{"a": "}" # ; b}';
    map $a $b { default "x;y"; ~^/(\\d+){2}$ 1; }
    server { location ~ "^/[0-9]{4}$" { proxy_pass http://${name}x; } }
    include /etc/nginx/conf.d/*.conf;
}
"""
    found = [(one.blocks, one.words) for one in directives(text)]
    assert ((), ("user", "www-data")) in found
    assert (("http",), ("include", "mime types")) in found
    assert (("http",), ("log_format", "x", '{"a": "}" # ; b}')) in found
    assert (("http", "map"), ("default", "x;y")) in found
    assert (("http", "server", "location"), ("proxy_pass", "http://${name}x")) in found
    last = [one for one in directives(text) if one.words[0] == "include"][-1]
    assert last.blocks == ("http",) and text[slice(*last.span)] == "/etc/nginx/conf.d/*.conf"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("80", [("", 80)]),
        ("*:80 default_server", [("", 80)]),
        ("127.0.0.1:8080", [("127.0.0.1", 8080)]),
        ("127.0.0.1", [("127.0.0.1", 80)]),
        ("[::]:80 ipv6only=on", [("", 80)]),
        ("[2001:db8::1]:81 ssl", [("2001:db8::1", 81)]),
        ("[::1]", [("::1", 80)]),
        ("localhost:8000", [("localhost", 8000)]),
        ("unix:/run/x.sock", []),
        ("127.0.0.1:8000-8010", []),
        ("443 quic", []),
        ("53 udp", []),
    ],
)
def test_listeners(listen: str, expected: list[tuple[str, int]]) -> None:
    assert list(listen_endpoints(f"server {{ # listen 9;\n  listen {listen};\n}}")) == expected


@given(st.text(alphabet="ab \n;{}#\"'\\$~", max_size=60))
def test_no_text_is_an_error(text: str) -> None:
    for directive in directives(text):
        assert directive.words and 0 <= directive.span[0] < directive.span[1] <= len(text)
    listen_endpoints(text)
