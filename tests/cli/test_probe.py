"""`membrane probe`: from a signal to a decision, without a trace at any real tenant."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from cli.main import main
from cli.prepare import Wishes, prepare
from membrane.signals import PROBE
from membrane.times import format_time
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.record_reader import RecordReader
from tests.processes import SINGLE, event, free_port, up


def names(data):
    directory = DataDir.existing(data)
    with closing(RecordReader(directory)) as records:
        return {
            tenant: counts
            for partition in range(directory.partitions)
            for tenant, counts in json.loads(records.meta(partition).meta)["stages"].items()
            if counts
        }


@pytest.mark.slow
def test_a_probe_comes_through_by_an_api_and_in_a_directory_and_leaves_no_customer_at_a_tenant(tmp_path, capsys):
    data = tmp_path / "data"
    with up(data, "--partitions", 2, "--runner", "plain") as running:
        for target in (["--url", running.url], ["--url", running.url], ["--data", str(data)]):
            assert main(["probe", *target, "--within", "30", "--json"]) == 0
            told = json.loads(capsys.readouterr().out)
            assert (told["ok"], told["problem"], told["verdict"]) == (True, "", "allow")
            assert 0 < told["signal_seconds"] <= told["applied_seconds"] <= told["decision_seconds"]
        assert main(["probe", "--url", running.url, "--within", "30"]) == 0
        assert capsys.readouterr().out.endswith("s: allow\n")
        assert set(names(data)) == {PROBE}
        with running.client() as client:
            assert client.get(f"/v1/customers/{PROBE}").status_code == 404
            for_a_tenant = event("1", "usage.measured", PROBE, format_time(wall_ms()), metric="probe", value=1)
            refused = client.post("/v1/signals", headers=SINGLE, json=for_a_tenant)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/subject")
        assert running.stop() == 0


def test_without_a_stream_the_probe_fails_in_time(tmp_path, capsys):
    prepare(tmp_path / "data", Wishes(partitions=2), wall_ms())
    assert main(["probe", "--data", str(tmp_path / "data"), "--within", "1"]) == 4
    assert "the stream did not apply a signal within 1 s: `membrane doctor` says more" in capsys.readouterr().err


def test_without_an_api_the_probe_fails_in_time(capsys):
    assert main(["probe", "--url", f"http://127.0.0.1:{free_port()}", "--within", "1", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], "an answer was required" in told["problem"]) == (False, True)


DECISION = json.dumps({"at": "2026-11-23T10:00:00Z"}).encode()
UNKNOWN = (404, b"{}", {})


@pytest.mark.parametrize(
    "answers",
    [
        [(500, b'{"detail": "broken"}', {})],
        [(429, b'{"detail": "broken"}', {})],
        [UNKNOWN, (404, b'{"detail": "broken"}', {})],
        [UNKNOWN, (200, DECISION, {}), (502, b'{"detail": "broken"}', {})],
        [UNKNOWN, (200, DECISION, {}), (413, b'{"detail": "broken"}', {})],
    ],
)
def test_a_broken_service_is_unhealthy_and_no_mistake_of_the_user(server, capsys, answers):
    server.answers = answers
    assert main(["probe", "--url", server.url, "--within", "1", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    status = answers[-1][0]
    assert (told["ok"], told["problem"]) == (False, f"{server.url} answered {status}: broken")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("before", [[], [UNKNOWN], [UNKNOWN, (200, DECISION, {})]])
def test_a_key_that_is_refused_is_the_users_mistake(server, capsys, status, before):
    server.answers = [*before, (status, b'{"detail": "not with this key"}', {})]
    assert main(["probe", "--url", server.url, "--within", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    wanted = "--key: a key of the tenant _probe that may ingest, read and decide was required: "
    assert told["message"] == f"{wanted}{server.url} answered {status}: not with this key"


def test_it_has_to_be_told_where(capsys):
    assert main(["probe"]) == 1
    assert "--url URL or --data DIR is required" in capsys.readouterr().err
