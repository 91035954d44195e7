# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.secrets import masked_url, url_credentials


@pytest.mark.parametrize(
    ("text", "masked", "found"),
    [
        ("https://user:s3cret@x/a@b", "https://***@x/a@b", ["user:s3cret"]),
        ("Get http://t0ken@x:80: refused, http://x/", "Get http://***@x:80: refused, http://x/", ["t0ken"]),
        ("http://x/user@y ssh://a@b", "http://x/user@y ssh://a@b", []),
        ("http://a:p@ss@x/", "http://***@x/", ["a:p@ss"]),
    ],
)
def test_credentials_in_urls_are_found_wherever_they_are(text, masked, found):
    assert masked_url(text) == masked
    assert list(url_credentials({"a": [{"b": text}, 1, None], "c": (text,)})) == found * 2
