"""What comes in: each type's slots, ranges and pointers; and everything that must be refused without an echo."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import InvalidSignal
from membrane.signals import MAX_SIGNAL_BYTES, TYPES, CheckedSignal, check, encode_stored, read_stored, schemas, typed
from tests.strategies import payloads

NOW = "2026-11-23T10:00:00Z"
CHAT = {"channel": "chat"}


def event(data: Any = CHAT, kind: str = "message.received", **envelope: Any) -> dict[str, Any]:
    """A whole CloudEvent; an attribute set to ... is left out."""
    plain = {"specversion": "1.0", "id": "1", "source": "crm", "type": f"cx.{kind}.v1", "subject": "c-1", "time": NOW}
    return {name: value for name, value in (plain | {"data": data} | envelope).items() if value is not ...}


def accept(item: dict[str, Any]) -> CheckedSignal:
    return check(json.dumps(item).encode(), "default")


def refuse(item: dict[str, Any] | bytes) -> InvalidSignal:
    raw = item if isinstance(item, bytes) else json.dumps(item).encode()
    with pytest.raises(InvalidSignal) as caught:
        check(raw, "default")
    return caught.value


def refuse_text(value: str, **slots: str) -> InvalidSignal:
    """An event in whose JSON the text `value` stands where a slot says HERE."""
    return refuse(json.dumps(event(CHAT | slots)).replace('"HERE"', value).encode("utf-8", "surrogatepass"))


# ---- the envelope --------------------------------------------------------------------------------------------------


def test_a_signal_is_kept_as_it_was_sent_with_its_time_in_milliseconds() -> None:
    checked = accept(event({"channel": "chat", "colour": "blue"}, time="2026-11-23T11:00:00.5+01:00"))
    stored = checked.stored
    assert (stored.tenant, stored.customer, stored.source, stored.id) == ("default", "c-1", "crm", "1")
    assert stored.time == 1_795_428_000_500
    assert json.loads(bytes(stored.data)) == {"channel": "chat", "colour": "blue"}
    again = read_stored(encode_stored(stored))
    assert again == stored
    assert list(json.loads(encode_stored(stored))) == ["tenant", "customer", "source", "id", "type", "time", "data"]
    assert typed(again) == checked.typed


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "time"])
def test_each_required_attribute_is_named_when_it_is_missing(name: str) -> None:
    error = refuse(event(**{name: ...}))
    assert (error.pointer, error.detail) == (f"/{name}", "required")


@pytest.mark.parametrize("name", ["id", "source", "subject"])
@pytest.mark.parametrize(
    "value",
    ["", "x" * 257, "x" * 300, "a\x00b", "a\nb", "tail\n", "\r", "\x7f", "\x85", 5, None, True, ["x"], {"x": 1}],
    ids=repr,
)
def test_ids_sources_and_subjects_are_1_to_256_characters_without_control_characters(name: str, value: object) -> None:
    assert refuse(event(**{name: value})).pointer == f"/{name}"


@pytest.mark.parametrize("name", ["id", "source", "subject"])
@pytest.mark.parametrize("value", ["x", "x" * 256, "ñandú 🦤", " ", "a\\b", "\u200b"])
def test_any_other_text_is_a_name(name: str, value: str) -> None:
    accept(event(**{name: value}))


def test_a_subject_has_no_slash_and_an_id_may() -> None:
    assert refuse(event(subject="a/b")).pointer == "/subject"
    accept(event(id="a/b", source="https://crm/x"))


@pytest.mark.parametrize("time", ["", "now", "2026-11-23", "2026-11-23T10:00:00", 5, None, "2026-11-23T10:00:00Z" * 3])
def test_a_time_is_rfc_3339(time: object) -> None:
    assert refuse(event(time=time)).pointer == "/time"


@pytest.mark.parametrize("time", ["1989-12-31T23:59:59.999Z", "1990-01-01T00:59:59+01:00", "0001-01-01T00:00:00Z"])
def test_a_time_before_1990_is_refused(time: str) -> None:
    assert refuse(event(time=time)).detail == "must not be before 1990"


@pytest.mark.parametrize("time", ["1990-01-01T00:00:00Z", "2016-12-31T23:59:60Z", "9999-12-31T23:59:59.999Z"])
def test_a_leap_second_and_any_later_time_is_a_time(time: str) -> None:
    accept(event(time=time))


def test_other_versions_and_binary_data_are_refused() -> None:
    assert refuse(event(specversion="0.3")).pointer == "/specversion"
    for value in ("aGk=", 5, {}):
        error = refuse(event(data_base64=value))
        assert (error.pointer, error.detail) == ("/data_base64", "binary data is not accepted; send JSON in data")
    accept(event(data_base64=None))


@pytest.mark.parametrize("data", [[], "x", 5, True])
def test_data_is_an_object(data: object) -> None:
    assert refuse(event(data)).pointer == "/data"


@pytest.mark.parametrize("data", [..., None, {}])
def test_no_data_is_an_empty_object(data: object) -> None:
    assert bytes(accept(event(data, "account.closed")).stored.data) == b"{}"
    assert refuse(event(data)).pointer == "/data/channel"


def test_a_type_we_do_not_know_is_not_the_senders_fault() -> None:
    for kind in ("cx.message.received.v2", "com.other", "x"):
        assert accept(event({"anything": [1, {"deep": None}]}, type=kind)).typed is None


def test_extension_attributes_are_ignored() -> None:
    accept(event(traceparent="00-1", datacontenttype="application/json", dataschema=None))


def test_a_signal_has_at_most_64_kib() -> None:
    room = MAX_SIGNAL_BYTES - len(json.dumps(event(CHAT | {"text": ""})))
    accept(event(CHAT | {"text": "x" * room}))
    assert str(MAX_SIGNAL_BYTES) in refuse(event(CHAT | {"text": "x" * (room + 1)})).detail


# ---- each type -----------------------------------------------------------------------------------------------------

REQUIRED: dict[str, dict[str, Any]] = {
    "account.opened": {},
    "account.closed": {},
    "profile.updated": {},
    "message.received": {"channel": "chat"},
    "interaction.ended": {"interaction": "i", "channel": "phone"},
    "contact.made": {"domain": "sales", "kind": "upsell", "channel": "email"},
    "contact.answered": {"contact": "k", "outcome": "opened"},
    "case.opened": {"case": "A", "category": "net", "severity": 1},
    "case.updated": {"case": "A"},
    "case.resolved": {"case": "A"},
    "case.reopened": {"case": "A"},
    "usage.measured": {"metric": "m", "value": 1.5},
    "order.placed": {},
    "order.cancelled": {},
    "payment.failed": {},
    "product.replaced": {"old": "T1", "new": "T2"},
    "credit.given": {"kind": "service_credit"},
    "survey.sent": {"survey": "s", "instrument": "nps"},
    "survey.answered": {"instrument": "nps", "score": 10},
    "consent.changed": {"channel": "sms", "domain": "marketing", "granted": False},
    "journey.moved": {"journey": "j", "step": "s", "status": "done"},
    "label.given": {"target": "churn", "value": True, "by": "ana"},
    "incident.declared": {"incident": "i"},
    "incident.updated": {"incident": "i"},
    "incident.resolved": {"incident": "i"},
}

OPTIONAL: dict[str, dict[str, Any]] = {
    "account.opened": {"product": "T1", "timezone": "Europe/Madrid", "language": "es", "segment": "s", "reason": "r"},
    "profile.updated": {"timezone": "UTC", "language": "es", "preferred_channel": "sms", "channels": ["sms", "email"],
                        "segment": "s", "vulnerable": True},
    "message.received": {"text": "¡hola!", "language": "es", "sentiment": -1, "sentiment_by": "m", "reason": "r",
                         "agent": "a", "case": "A", "interaction": "i", "duration_seconds": 0},
    "interaction.ended": {"direction": "inbound", "touchpoint": "t", "case": "A", "reason": "r", "agent": "a",
                          "handled_by": "ivr", "duration_seconds": 1.5, "hold_seconds": 2, "transfers": 0,
                          "disposition": "d", "resolved": False},
    "contact.made": {"contact": "k", "campaign": "c", "permit": "p", "topic": "t"},
    "case.opened": {"product": "T1", "eta": NOW},
    "case.updated": {"severity": 4, "eta": None, "category": "c", "product": "p", "status": "waiting_on_supplier"},
    "case.resolved": {"resolution": "r", "resolution_code": "customer_confirmed"},
    "order.placed": {"amount": -3.2, "currency": "EUR", "product": "T1"},
    "credit.given": {"amount": 5, "currency": "EUR", "obligation": "o"},
    "survey.sent": {"touchpoint": "t", "contact": "k", "interaction": "i"},
    "survey.answered": {"survey": "s", "touchpoint": "t", "contact": "k", "interaction": "i", "verbatim": "v"},
    "journey.moved": {"instance": "i"},
    "label.given": {"about_time": NOW, "confidence": 1},
    "incident.declared": {"scope": {"region": ["north"]}, "eta": NOW},
}  # fmt: skip


def test_every_type_of_the_contract_is_known() -> None:
    assert {f"cx.{name}.v1" for name in REQUIRED} == TYPES.keys()


@pytest.mark.parametrize("kind", REQUIRED)
def test_the_required_slots_are_enough_and_each_is_needed(kind: str) -> None:
    assert isinstance(accept(event(REQUIRED[kind], kind)).typed, TYPES[f"cx.{kind}.v1"])
    for name in REQUIRED[kind]:
        rest = {other: value for other, value in REQUIRED[kind].items() if other != name}
        error = refuse(event(rest, kind))
        assert (error.pointer, error.detail) == (f"/data/{name}", "required")


@pytest.mark.parametrize("kind", OPTIONAL)
def test_the_optional_slots_are_read(kind: str) -> None:
    found = accept(event(REQUIRED[kind] | OPTIONAL[kind], kind)).typed
    assert found is not None
    assert {name: getattr(found, name) for name in OPTIONAL[kind]} == OPTIONAL[kind]


@pytest.mark.parametrize(
    ("kind", "slot", "value"),
    [
        ("message.received", "channel", 5),
        ("message.received", "channel", ""),
        ("message.received", "channel", "x" * 129),
        ("message.received", "channel", "a\nb"),
        ("message.received", "channel", "chat\n"),
        ("message.received", "sentiment", 1.0001),
        ("message.received", "sentiment", -1.0001),
        ("message.received", "sentiment", "good"),
        ("message.received", "sentiment", True),
        ("message.received", "duration_seconds", -1),
        ("interaction.ended", "direction", "sideways"),
        ("interaction.ended", "handled_by", "parrot"),
        ("interaction.ended", "transfers", 1.5),
        ("interaction.ended", "transfers", -1),
        ("contact.answered", "outcome", "pondered"),
        ("case.opened", "severity", 0),
        ("case.opened", "severity", 5),
        ("case.opened", "severity", "1"),
        ("case.opened", "severity", True),
        ("case.opened", "eta", "tomorrow"),
        ("case.opened", "eta", "2026-11-23"),
        ("case.opened", "eta", "9999-12-31T23:59:59-01:00"),
        ("case.updated", "eta", "tomorrow"),
        ("case.updated", "status", "lost"),
        ("case.resolved", "resolution_code", "magic"),
        ("usage.measured", "value", 1e10),
        ("usage.measured", "value", 10**30),
        ("usage.measured", "value", None),
        ("order.placed", "currency", "eur"),
        ("order.placed", "currency", "EUR\n"),
        ("survey.answered", "instrument", "stars"),
        ("survey.answered", "score", 11),
        ("consent.changed", "domain", "astrology"),
        ("consent.changed", "granted", "no"),
        ("profile.updated", "vulnerable", 1),
        ("label.given", "target", "weather"),
        ("label.given", "value", {}),
        ("label.given", "about_time", "then"),
        ("label.given", "confidence", 1.5),
        ("incident.declared", "eta", "soon"),
    ],
)
def test_a_slot_out_of_its_type_or_range_is_named(kind: str, slot: str, value: object) -> None:
    error = refuse(event(REQUIRED[kind] | {slot: value}, kind))
    assert error.pointer == f"/data/{slot}"
    assert error.detail


@pytest.mark.parametrize(("instrument", "low", "high"), [("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 7)])
def test_each_instrument_has_its_scale(instrument: str, low: int, high: int) -> None:
    for score in (low, high, (low + high) / 2):
        accept(event({"instrument": instrument, "score": score}, "survey.answered"))
    for score in (low - 1, high + 1, low - 0.01):
        error = refuse(event({"instrument": instrument, "score": score}, "survey.answered"))
        assert (error.pointer, error.detail) == ("/data/score", f"score must be {low}..{high} for {instrument}")


def test_a_fault_in_a_list_is_named_by_its_place() -> None:
    assert refuse(event({"channels": ["sms", ""]}, "profile.updated")).pointer == "/data/channels/1"
    assert refuse(event({"channels": ["sms"] * 33}, "profile.updated")).pointer == "/data/channels"


def test_an_update_tells_a_withdrawn_promise_from_one_not_mentioned() -> None:
    withdrawn, silent = ({"case": "A", "eta": None}, {"case": "A"})
    assert accept(event(withdrawn, "case.updated")).typed.eta is None  # type: ignore[union-attr]
    assert accept(event(silent, "case.updated")).typed.eta is msgspec.UNSET  # type: ignore[union-attr]


@given(st.sampled_from(sorted(payloads)).flatmap(lambda kind: st.tuples(st.just(kind), payloads[kind])))
def test_what_the_strategies_make_is_valid(made: tuple[str, dict[str, Any]]) -> None:
    accept(event(made[1], made[0]))


# ---- refused for what they are -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "biometric_hash",
        "voiceprint",
        "voice_emotion",
        "voice-stress",
        "FaceId",
        "facial_expression",
        "iris_scan",
        "emotion_from_voice",
        "emotionOfAgent",
        "agent_sentiment",
        "agentStress",
        "agents-mood",
    ],
)
@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"a": d}, lambda d: {"a": [[d]]}], ids=["flat", "in", "list"])
def test_biometrics_and_agents_emotions_are_refused_wherever_they_hide(name: str, wrap: Any) -> None:
    for kind in ("cx.message.received.v1", "of.our.own"):
        assert refuse(event(CHAT | wrap({name: 1}), type=kind)).pointer == "/data"


def test_an_escaped_name_hides_nothing() -> None:
    raw = json.dumps(event(CHAT | {"x": [{"agent_emotion": 1}]})).replace("agent_e", "agent_\\u0065")
    assert refuse(raw.encode()).pointer == "/data"


def test_words_in_values_and_harmless_names_are_accepted() -> None:
    accept(event(CHAT | {"text": "your biometric voiceprint and agent_emotion", "agent": "a", "tone": 1, "\u0065": 2}))


@pytest.mark.parametrize("name", ["invoice_id", "invoiceId", "interface_id", "surface_id", "face_value", "agent_id"])
def test_names_that_only_look_like_biometrics_are_kept(name: str) -> None:
    accept(event(CHAT | {name: "a-1"}))


SECRET = "4111111111111111"


@pytest.mark.parametrize(
    "item",
    [
        event(CHAT | {"sentiment": SECRET}),
        event(CHAT | {"channel": {"card": SECRET}}),
        event(subject=f"{SECRET}/"),
        event(time=SECRET),
        event(specversion=SECRET),
        event(data_base64=SECRET),
        event(SECRET),
        event({"contact": "k", "outcome": SECRET}, "contact.answered"),
        event({"case": "A", "eta": SECRET}, "case.updated"),
        event({"instrument": "nps", "score": int(SECRET)}, "survey.answered"),
        json.dumps(event(SECRET)).encode()[:-3],
        SECRET.encode(),
    ],
)
def test_a_refusal_never_echoes_what_was_sent(item: Any) -> None:
    assert SECRET not in str(refuse(item))


# ---- malformed JSON ------------------------------------------------------------------------------------------------

WRITTEN = [
    "NaN", "-NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000, "01", "+1", "1.", ".5", "1e", "1e+", "0x1",
    "1_0", "--1", "1,", "'a'", "tru", "True", "nul", "undefined", "\\u0031", '"a', '"\\x"', '"\\u12"', '"\\ud800"',
    '"\\udc00"', '"\\ud800\\u0041"', '"\t"', '"\n"', '"\x00"', "[1,]", "[1 2]", "[", "]", "{", "}", "[1}",
    '{"a"}', '{"a":}',
    '{"a":1,}', "{1:1}", "{a:1}", '{"a":1 "b":2}', "/*c*/1", "1//c", "[" * 4000 + "]" * 4000,
    '{"a":' * 4000 + "1" + "}" * 4000, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN, ids=lambda text: ascii(text[:12]))
def test_what_is_not_json_is_refused_in_slots_we_read_and_in_slots_we_do_not(written: str) -> None:
    for slot in ("sentiment", "colour"):
        assert refuse_text(written, **{slot: "HERE"}).detail


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf{}", b"\xc0\xaf", b"null", b"true", b"1", b'"x"', b"[]",
        b"[{}]", b"{}", b"{", b"[" * 60_000, b'{"a":' * 10_000, json.dumps(event()).encode() + b"x",
        json.dumps(event()).encode() * 2, json.dumps(event()).encode("utf-16"), json.dumps(event()).encode("utf-32"),
        json.dumps(event()).encode().replace(b"crm", b"\xed\xa0\x80"),
        json.dumps(event()).encode().replace(b"crm", b"\xf5\x80\x80\x80"),
        json.dumps(event()).encode().replace(b"chat", b"\xc3\x28"),
    ],
    ids=lambda raw: ascii(raw[:12]),
)  # fmt: skip
def test_a_body_that_is_no_event_is_refused(raw: bytes) -> None:
    assert refuse(raw).detail


def test_every_cut_of_an_event_is_refused() -> None:
    raw = json.dumps(event()).encode()
    for length in range(len(raw)):
        refuse(raw[:length])


@given(st.binary(max_size=60), st.integers(0, 10_000), st.integers(0, 60))
def test_no_bytes_make_it_raise_anything_else(noise: bytes, place: int, length: int) -> None:
    raw = json.dumps(event({"channel": "chat", "sentiment": 0.5, "x": [{"y": "z"}]})).encode()
    place %= len(raw)
    try:
        checked = check(raw[:place] + noise + raw[place + length :], "default")
    except InvalidSignal:
        return
    assert read_stored(encode_stored(checked.stored)) == checked.stored


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12))  # fmt: skip
def test_whatever_json_is_sent_is_accepted_or_refused_and_what_is_stored_can_be_read(value: Any) -> None:
    raw = json.dumps(event(CHAT | {"anything": value, "sentiment": value})).encode()
    try:
        stored = check(raw, "default").stored
    except InvalidSignal:
        assert re.fullmatch(r"(/[\w.]+)*", refuse(raw).pointer)
    else:
        assert isinstance(typed(read_stored(encode_stored(stored))), TYPES[stored.type])


# ---- behind the log ------------------------------------------------------------------------------------------------


def test_a_stored_signal_that_breaks_its_schema_says_so_when_it_is_read() -> None:
    stored = accept(event()).stored
    broken = msgspec.structs.replace(stored, data=msgspec.Raw(b'{"channel": 5}'))
    with pytest.raises(InvalidSignal, match="/data/channel"):
        typed(broken)
    with pytest.raises(msgspec.MsgspecError):
        read_stored(b"{}")


# ---- schemas -------------------------------------------------------------------------------------------------------


def test_there_is_a_json_schema_for_each_type_that_judges_as_we_do() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema, a development tool, is not installed")
    found = schemas()
    assert found.keys() == TYPES.keys()
    for kind, data in REQUIRED.items():
        validator = jsonschema.Draft202012Validator(found[f"cx.{kind}.v1"])
        whole = data | OPTIONAL.get(kind, {})
        assert [error.message for error in validator.iter_errors(whole)] == []
        assert not validator.is_valid(whole | {"voice_emotion": 1})
        for name in data:
            assert not validator.is_valid({other: value for other, value in whole.items() if other != name})
