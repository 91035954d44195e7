# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.selection import read_selection
from hypothesis import given
from hypothesis import strategies as st

ENTRY = {
    "Node": {"Node": "app1", "Address": "192.0.2.1", "Meta": {"rack": "r1"}, "TaggedAddresses": {"wan": "198.51.100.1"}},
    "Service": {
        "ID": "shop-1",
        "Service": "shop",
        "Tags": ["blue", "eu"],
        "Meta": {"zone": "a", "two words": "x", "empty": ""},
        "Port": 80,
        "Weights": {"Passing": 5, "Warning": 1},
        "EnableTagOverride": False,
        "TaggedAddresses": {"lan": {"Address": "192.0.2.1", "Port": 80}},
    },
    "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "service:shop-1", "Status": "warning", "ServiceTags": ["blue"]}],
}
BARE = {"Node": {"Node": "app2", "Meta": None}, "Service": {"ID": "x", "Tags": None, "Meta": None}, "Checks": []}


@pytest.mark.parametrize(
    ("text", "wanted", "bare"),
    [
        ("Service.Meta.zone == a", True, False),
        ('Service.Meta["two words"] == "x"', True, False),
        ("Service.Meta[`two words`] == `x`", True, False),
        ("Service.Meta.zone != a", False, True),
        ("Service.Meta.other != a", True, True),
        ("Service.Meta.other matches a", False, False),
        ("Service.Meta.other not matches a", True, True),
        ('Service.Meta.zone matches "^[ab]$"', True, False),
        ('Service.Meta.empty == ""', True, False),
        ("blue in Service.Tags", True, False),
        ("blue not in Service.Tags", False, True),
        ("Service.Tags contains blue", True, False),
        ("Service.Tags not contains red", True, True),
        ("Service.Tags is empty", False, True),
        ("Service.Tags is not empty", True, False),
        ("zone in Service.Meta", True, False),
        ("Service.Meta is empty", False, True),
        ("ho in Service.Service", True, False),
        ('"" in Service.Meta.empty', True, False),
        ("Service.Port == 80", True, False),
        ('Service.Port != "80"', False, True),
        ("Service.Weights.Passing == 5", True, False),
        ("Service.EnableTagOverride == false", True, True),
        ("Service.Connect.Native == true", False, False),
        ("Service.TaggedAddresses.lan.Port == 80", True, False),
        ("Node.TaggedAddresses.wan == `198.51.100.1`", True, False),
        ("Checks.Status == passing", True, False),
        ("Checks.Status != passing", True, False),
        ("not Checks.Status != passing", False, True),
        ("blue in Checks.ServiceTags", True, False),
        ("Checks is empty", False, True),
        ('Node.PeerName == ""', True, True),
        ("Service.Port == 81 or Service.Port == 80 and Node.Node == app1", True, False),
        ("(Service.Port == 80 or Service.Port == 81) and Node.Node != app1", False, False),
        ("not not Service.Port == 80", True, False),
        ("  Service.Port==80\n and\tNode.Node==app1 ", True, False),
    ],
)
def test_an_expression_selects(text, wanted, bare):
    selection = read_selection(text, "filter")
    assert (selection.matches(ENTRY), selection.matches(BARE)) == (wanted, bare)
    assert selection.for_servers == ("matches" not in text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at character 1, allowed is a selector such as Service.Meta.zone"),
        ("Service.Port > 5", "at character 14, allowed is a selector, an operator"),
        ("Service.Port = 5", "allowed is a selector, an operator"),
        ("Foo == 1", "at character 1, allowed is one of Checks, Node, Service after the beginning of a selector, and not 'Foo'"),
        ("Service.Nope == 1", "one of Address, Connect, EnableTagOverride"),
        ("Service == web", "one of Address, Connect"),
        ("Service.Port.x == 1", "nothing more after Service.Port, and not 'x'"),
        ("Service.Port == abc", "a whole number and not 'abc'"),
        ("Service.EnableTagOverride == 1", "true or false and not '1'"),
        ("Service.Tags == a", "in and contains, is empty for Service.Tags, which is a list"),
        ("Service.Port is empty", "== and != for Service.Port, which is a number"),
        ("Service.Meta.zone is empty", "which is a text"),
        ("Service.Meta.zone == a and", "at character 27"),
        ("(Service.Port == 80", "a closing bracket"),
        ("Service.Port == 80)", "at character 19, allowed is and, or, or the end"),
        ("Service.Port == 80 Service.Port == 81", "allowed is and, or, or the end"),
        ("Service.Port", "allowed is ==, !="),
        ('"a" == Service.Meta.zone', "in or not in after a value"),
        ("a in 80", "a selector such as Service.Tags"),
        ("Service.Meta.zone matches `(`", "is not a regular expression"),
        ('Service.Meta.zone == "\\q"', "put it between backticks"),
        ('Service.Meta.zone == "a', "allowed is"),
        ("not " * 100 + "Service.Port == 80", "nesting of at most 50"),
        ("(" * 100 + "Service.Port == 80", "nesting of at most 50"),
        ("Service.Port == 80 and " * 100 + "Service.Port == 80", "at most 2000 characters"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(text, told):
    with pytest.raises(AutoscaleError) as refused:
        read_selection(text, "filter")
    assert told in refused.value.message and refused.value.message.startswith("filter: ")


@given(st.text(alphabet="ServiceTagNodChk.()[]\"`'\\ =!notiandrmp5-_\n", max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        selection = read_selection(text, "filter")
    except AutoscaleError:
        return
    assert selection.matches(ENTRY) in (True, False) and selection.matches(BARE) in (True, False)
