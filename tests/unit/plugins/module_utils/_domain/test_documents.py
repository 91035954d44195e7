# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import (
    Record,
    Signing,
    Slot,
    history_content,
    key_of,
    read_document,
    read_record,
    release_content,
    write_document,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Override
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, service
from hypothesis import given, settings
from hypothesis import strategies as st

KEYED = Signing("s3cret")
OPEN = Signing(allow_unsigned=True)
SIGNED = ["release", "scale", "override"]
UNSIGNED = ["history", "pending", "pools"]


def written(document, content, signing=KEYED, name="shop"):
    return write_document(document, name, content, now=NOW, signing=signing)


def altered(text, **changes):
    body = {**json.loads(text), **changes}
    return json.dumps({key: item for key, item in body.items() if item is not None})


def test_keys():
    assert key_of("shop", "release") == "autoscale/shop/release"


def test_a_key_of_no_service_is_refused():
    with pytest.raises(AutoscaleError):
        key_of("../shop", "release")


def test_a_document_says_what_it_is():
    assert json.loads(written("pending", {"slots": []})) == {"slots": [], "schema": 1, "service": "shop", "time": NOW}


def test_equal_content_is_one_text():
    assert written("scale", {"replicas": 2, "a": {"x": 1, "y": 2}}) == written("scale", {"a": {"y": 2, "x": 1}, "replicas": 2})


@pytest.mark.parametrize("document", SIGNED + UNSIGNED)
@pytest.mark.parametrize("signing", [KEYED, OPEN, Signing("s3cret", allow_unsigned=True)], ids=["key", "unsigned", "both"])
def test_what_is_written_reads_the_same(document, signing):
    content = {"a": [1, 2.5, "ü", None], "b": {"c": True}}
    read = read_document(document, "shop", written(document, content, signing), signing)
    assert read == {**content, "schema": 2 if document == "history" else 1, "service": "shop", "time": NOW}


@pytest.mark.parametrize(("document", "expected"), [(name, True) for name in SIGNED] + [(name, False) for name in UNSIGNED])
def test_which_documents_are_signed(document, expected):
    assert ("signature" in json.loads(written(document, {}))) is expected


NOT_SIGNED = "is not signed; it is refused. Deploy the service again with the right autoscale_signing_key"
ALTERED = "was altered or signed with another key; it is refused. Deploy the service again with the right autoscale_signing_key"
NO_KEY = "cannot be trusted without autoscale_signing_key; set it, or autoscale_allow_unsigned: true"
SCALE = written("scale", {"replicas": 2})


@pytest.mark.parametrize(
    ("text", "signing", "error"),
    [
        (written("scale", {"replicas": 2}, OPEN), KEYED, NOT_SIGNED),
        (SCALE, Signing("other"), ALTERED),
        (SCALE, Signing("other", allow_unsigned=True), ALTERED),
        (SCALE, Signing(), NO_KEY),
        (written("scale", {"replicas": 2}, OPEN), Signing(), NO_KEY),
        (altered(SCALE, replicas=20), KEYED, ALTERED),
        (altered(SCALE, time=NOW + 1), KEYED, ALTERED),
        (altered(SCALE, more=1), KEYED, ALTERED),
        (altered(SCALE, signature="\u00e9"), KEYED, ALTERED),
        (altered(SCALE, signature=1), KEYED, ALTERED),
        (altered(SCALE, signature=None), KEYED, NOT_SIGNED),
        # The signature of one document does not do for another one.
        (written("override", {"replicas": 2}), KEYED, ALTERED),
    ],
)
def test_what_is_unsigned_or_altered_is_refused(text, signing, error):
    with pytest.raises(AutoscaleError) as caught:
        read_document("scale", "shop", text, signing)
    assert caught.value.message == f"Consul KV autoscale/shop/scale: {error}"


def test_a_document_of_another_service_is_refused_though_it_is_signed():
    with pytest.raises(AutoscaleError, match="is not a document of schema 1 for shop"):
        read_document("scale", "shop", written("scale", {"replicas": 2}, name="cart"), KEYED)


@pytest.mark.parametrize(
    ("text", "signing"),
    [
        (written("scale", {"replicas": 2}, OPEN), OPEN),
        (SCALE, OPEN),
        (altered(SCALE, signature=None), Signing("s3cret", allow_unsigned=True)),
    ],
)
def test_unsigned_documents_can_be_allowed(text, signing):
    assert read_document("scale", "shop", text, signing)["replicas"] == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a document of schema 1 for shop"),
        (altered(SCALE, schema=2), "is not a document of schema 1 for shop; written by another version?"),
        (altered(SCALE, schema=None), "is not a document of schema 1"),
    ],
)
def test_what_is_not_understood_is_refused(text, error):
    with pytest.raises(AutoscaleError) as caught:
        read_document("scale", "shop", text, OPEN)
    assert caught.value.message.startswith("Consul KV autoscale/shop/scale: ")
    assert error in caught.value.message


WHOLE = Record(
    service(),
    generation=3,
    scale=4,
    history=History(((NOW - 20, 4), (NOW - 10, 5)), ((NOW - 20, -1),)),
    critical_since={"shop-app1-20000": NOW - 5},
    last_decision={"kind": "scale_up", "time": NOW},
    outlook="settled 4",
    override=Override(2, None, NOW + 60),
    pending=(Slot("shop-app1-20001", "app1", 20001),),
    pools={"lb1": {"digest": "abc", "servers": ["shop-app1-20000"]}},
    indices={"release": 7},
)


def documents(signing=KEYED):
    """The texts that stand for WHOLE."""
    contents = {
        "release": release_content(WHOLE.service, WHOLE.generation),
        "scale": {"replicas": 4},
        "history": history_content(WHOLE),
        "override": {"min_replicas": 2, "max_replicas": None, "expires": NOW + 60},
        "pending": {"slots": [{"id": "shop-app1-20001", "host": "app1", "port": 20001}]},
        "pools": {"balancers": WHOLE.pools},
    }
    return {document: written(document, content, signing) for document, content in contents.items()}


def test_a_record_reads_as_it_was_written():
    assert read_record("shop", documents(), {"release": 7}, KEYED) == WHOLE


def test_a_release_alone_is_a_record():
    assert read_record("shop", {"release": documents()["release"]}, {}, KEYED) == Record(service(), generation=3)


def test_a_removal_stands_in_the_release():
    text = written("release", release_content(service(), 4, removing=True))
    assert read_record("shop", {"release": text}, {}, KEYED).removing is True


def test_documents_of_other_kinds_are_left_alone():
    assert read_record("shop", {**documents(), "rollout": "not JSON"}, {"release": 7}, KEYED) == WHOLE


def test_a_release_is_validated_again():
    text = altered(written("release", release_content(service(), 1), OPEN), description={"version": "1"})
    with pytest.raises(AutoscaleError, match=r"^Consul KV autoscale/shop/release\.run: must say how an instance is run"):
        read_record("shop", {"release": text}, {}, OPEN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "host", "port", "servers", "lb1"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = {
    "scale": ["replicas"],
    "history": ["recommendations", "events", "critical_since", "last_decision", "outlook"],
    "override": ["min_replicas", "max_replicas", "expires"],
    "pending": ["slots"],
    "pools": ["balancers"],
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([(document, field) for document, fields in FIELDS.items() for field in fields]), JSON)
def test_a_damaged_document_is_refused_or_a_record_of_the_right_types(place, damage):
    """A caller names the service and goes on with the others; nothing of another type gets through to them."""
    document, field = place
    texts = documents(OPEN)
    texts[document] = json.dumps({**json.loads(texts[document]), field: damage})
    try:
        record = read_record("shop", texts, {}, OPEN)
    except (AutoscaleError, KeyError, TypeError, ValueError, OverflowError):
        return
    history_content(record)
    assert record.scale is None or isinstance(record.scale, int)
    assert record.override is None or record.override.in_force(NOW) in (True, False)
    assert all(isinstance(since, float) for since in record.critical_since.values())
    assert all(isinstance(name, str) for pool in record.pools.values() for name in pool["servers"])
    assert all(isinstance(slot, Slot) and isinstance(slot.port, int) for slot in record.pending)


def test_a_history_of_schema_1_is_read_and_written_as_schema_2():
    content = {"recommendations": [[NOW - 20, 4]], "events": [[NOW - 20, -1]], "critical_since": {}, "last_decision": None, "outlook": None}
    old = json.dumps({**content, "schema": 1, "service": "shop", "time": NOW})
    record = read_record("shop", {"release": documents()["release"], "history": old}, {}, KEYED)
    assert record.history == History(((NOW - 20, 4),), ((NOW - 20, -1),))
    new = written("history", history_content(record))
    assert json.loads(new)["schema"] == 2
    assert read_record("shop", {"release": documents()["release"], "history": new}, {}, KEYED) == record


def test_a_history_of_a_schema_to_come_is_refused():
    with pytest.raises(AutoscaleError, match="is not a document of schema 2 for shop; written by another version"):
        read_document("history", "shop", altered(written("history", {}), schema=3), KEYED)


def test_a_history_stays_below_512_kib_however_often_it_changes():
    history = History()
    for second in range(6000):
        history = history.recommending(NOW + second, second % 2 + 2_000_000_000, 86400).scaled(NOW + second, 1_000_000_000, 86400)
    assert len(written("history", history_content(Record(service(), history=history)))) < 512 * 1024 / 2
    # What is old is told together, by its highest count: a window never holds less.
    assert history.recommended_since(NOW - 1)[0] == 2_000_000_001
    assert sum(change for _time, change in history.events) == 6000 * 1_000_000_000
