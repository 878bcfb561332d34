"""GET /v1/stages/stream: what is told, to whom, and from where on."""

import asyncio
import json

import pytest

from membrane.ports import Effect, partition_of
from serving.following import Cursor, Followers, parse_cursor
from serving.problems import Problem
from tests.serving.conftest import NOW


def effect(number, customer="c-1", tenant="default", **body):
    told = {"customer": customer, "from": "steady", "to": "crisis", "at": "2026-11-23T10:00:00Z", "cause": {}, **body}
    return Effect(f"e-{number}", number, "stage", tenant, customer, NOW, json.dumps(told).encode())


def events_of(chunks):
    """(id, event, data) of each event in the bytes."""
    found = []
    for block in b"".join(chunks).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
        if "data" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def following(api, tenant="default", last=None, after=lambda: None):
    """What a follower is told first, of what `after` it began happens."""

    async def told():
        events = await Followers(api.services).follow(tenant, last, lambda: True)
        chunks = [await anext(events)]
        after()
        chunks.append(await asyncio.wait_for(anext(events), 10))
        await events.aclose()
        return chunks

    return events_of(asyncio.run(told()))


def test_a_follower_hears_of_what_happens_from_now_on(api):
    api.write(effects=[effect(1)])
    ((_, kind, data),) = following(api, after=lambda: api.write(effects=[effect(2, to="recovering")]))
    assert (kind, data["customer"], data["to"]) == ("stage", "c-1", "recovering")


def test_who_comes_back_with_an_id_misses_nothing(api):
    api.write(effects=[effect(1)])
    start = "-".join("0" * (api.services.directory.partitions + 1))
    ((first, _, _),) = following(api, last=start)
    api.write("c-2", effects=[effect(2, "c-2")])
    api.write(effects=[effect(3, to="recovering")])
    told = following(api, last=first)
    assert {data["customer"] + data["to"] for _, _, data in told} == {"c-2crisis", "c-1recovering"}


def test_other_tenants_and_history_are_not_told(api):
    start = "-".join("0" * (api.services.directory.partitions + 1))
    api.write("c-9", "other", effects=[effect(1, "c-9", "other")])
    api.write(effects=[effect(2, backfill=True), effect(3)])
    told = following(api, last=start)
    assert [(data["customer"], data.get("backfill")) for _, _, data in told] == [("c-1", None)]


@pytest.mark.parametrize("text", ["x", "1", "1-2", "-".join("0" * 8), "1-" * 9, "9" * 30, "-".join(["9" * 19] * 9)])
def test_an_id_that_is_none_of_ours_is_refused(api, text):
    assert api.get("/v1/stages/stream", headers={"Last-Event-ID": text}).status_code == 422
    with pytest.raises(Problem):
        parse_cursor(text, 8)


def test_an_id_is_what_was_told():
    assert str(parse_cursor("1-2-3", 2)) == "1-2-3"
    assert parse_cursor("", 2) is None
    assert parse_cursor("1-2-3", 2) == Cursor([1, 2], 3)


def test_a_store_that_cannot_be_read_holds_up_nobody(api):
    api.write(effects=[effect(1)])
    own = partition_of("default", "c-1", api.services.directory.partitions)
    broken = (own + 1) % api.services.directory.partitions
    api.store(broken).close()
    start = Cursor([0] * api.services.directory.partitions, 0)
    followers = Followers(api.services)
    api.services.directory.records_path(broken).unlink()
    api.services.records.close()
    assert len(followers._next("default", start)) == 1


def test_only_so_many_may_follow(api, monkeypatch):
    monkeypatch.setattr("serving.following.MAX_FOLLOWERS", 0)
    answer = api.get("/v1/stages/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_who_may_read_no_more_hears_no_more(api):
    welcome = [True]

    async def told():
        events = await Followers(api.services).follow("default", None, lambda: welcome[0])
        first = await anext(events)
        welcome[0] = False
        return first, [chunk async for chunk in events]

    first, rest = asyncio.run(told())
    assert first == b"retry: 1000\nid: 0-0-0\n\n"
    assert rest == []


def test_an_obligation_is_told_like_every_other_event(api):
    body = json.dumps({"obligation": "o-1", "principle": "p", "kind": "agent_call", "state": "breached"}).encode()
    api.write(effects=[Effect("o-1-breached", 1, "obligation", "default", "c-1", NOW, body)])
    ((_, kind, data),) = following(api, last="0-0-0")
    assert (kind, data["obligation"], data["from"], data["to"]) == ("obligation", "o-1", "open", "breached")
    assert data["cause"] == {"source": "principle", "id": "p", "type": "agent_call"}


def test_revocations_are_told_from_the_start_after_the_claims_were_lost(api):
    api.write()
    followers, cursor = Followers(api.services), Cursor([9, 9], 7)
    followers._next("default", cursor)
    assert cursor.revocation == 0
