"""The page: its files, its words, and what can be read on it in a real browser over the real service."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from membrane.dictionary import FACTS
from membrane.features import FEATURE_NAMES
from membrane.signals import schemas
from membrane.vocabulary import (
    CHANNELS,
    DEGRADED,
    DOMAINS,
    KINDS,
    LIFECYCLES,
    OBLIGATION_KINDS,
    STAGES,
    Verdict,
)
from serving.page import HEADERS, STATIC
from tests.browser import CHROMIUM, Browser

SHOP = "shop <img src=x onerror=document.title='broken'>"
KEY = "a-key-of-this-test"
SCRIPTS = sorted(STATIC.glob("*.js"))
WORDS = json.loads((STATIC / "words.json").read_text(encoding="utf-8"))

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (`make system` installs it)")


# ---- its files ----


@pytest.mark.parametrize("path", ["/", *(f"/static/{file.name}" for file in sorted(STATIC.iterdir()))])
def test_each_file_is_served_whole_and_may_load_nothing_from_elsewhere(api, path):
    answer = api.get(path)

    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert int(answer.headers["content-length"]) == len(answer.content) > 0


def test_a_file_that_does_not_exist_is_a_problem(api):
    answer = api.get("/static/nothing.js")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_page_needs_no_key(make_api, tmp_path):
    keys = _keys_file(tmp_path)

    assert make_api(keys=keys).get("/").status_code == 200
    assert make_api(keys=keys).get("/static/app.js").status_code == 200


def test_every_file_the_page_names_exists():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    for script in SCRIPTS:
        named += re.findall(r'from "\./([^"]+)"|"/static/([^"]+)"', script.read_text(encoding="utf-8"))
    names = {name for found in named for name in ([found] if isinstance(found, str) else found) if name}

    assert names == {file.name for file in STATIC.iterdir()} - {"index.html"}


def test_nothing_is_inline_and_data_never_becomes_markup():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)

    assert not re.findall(r"<style|\sstyle=|\son\w+=|javascript:|https?://", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", scripts)
    assert set(re.findall(r"https?://[^\"']*", scripts)) == {"http://www.w3.org/2000/svg"}


def test_the_scripts_ask_only_routes_of_the_openapi_document(api):
    routes = api.get("/openapi.json").json()["paths"]
    asked = {path for script in SCRIPTS for path in re.findall(r'"(/v1/[^"]*)"', script.read_text(encoding="utf-8"))}

    assert asked == {
        "/v1/stages",
        "/v1/customers/{customer}",
        "/v1/customers/{customer}/timeline",
        "/v1/decisions",
    }
    assert asked <= set(routes)


# ---- its words ----


def test_all_words_are_there_in_both_languages_with_the_same_places():
    for key, words in WORDS.items():
        assert set(words) == {"en", "es"}, key
        assert all(words.values()), key
        assert set(re.findall(r"{\w+}", words["en"])) == set(re.findall(r"{\w+}", words["es"])), key


def test_the_words_of_facts_are_those_of_the_dictionary():
    shown = {key.removeprefix("fact."): words for key, words in WORDS.items() if key.startswith("fact.")}

    assert shown == {fact.name: {"en": fact.en, "es": fact.es} for fact in FACTS}


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("stage", STAGES),
        ("lifecycle", LIFECYCLES),
        ("channel", CHANNELS),
        ("domain", DOMAINS),
        ("kind", [kind for classes in KINDS.values() for kinds in classes.values() for kind in kinds]),
        ("obligation", OBLIGATION_KINDS),
        ("verdict", list(Verdict)),
        ("degraded", DEGRADED),
        ("signal", [name.removeprefix("cx.").removesuffix(".v1") for name in schemas()]),
    ],
)
def test_every_name_of_the_vocabulary_has_words(group, names):
    assert [name for name in names if f"{group}.{name}" not in WORDS] == []


def test_every_feature_has_words():
    assert [name for name in FEATURE_NAMES if not _worded(name)] == []


def test_every_word_that_the_page_asks_for_is_there():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    asked = set(re.findall(r'data-(?:word|label|placeholder)="([^"]+)"', page))
    asked |= set(re.findall(r'\b(?:say|sentence)\("([^"]+)"', scripts))

    assert len(asked) > 50
    assert asked <= set(WORDS)


def _worded(feature: str) -> bool:
    if f"feature.{feature}" in WORDS:
        return True
    windowed = re.fullmatch(r"(.+)_(1h|24h|7d|30d)", feature)
    base = windowed[1] if windowed else feature
    directed = re.fullmatch(r"(?:in|out)_(.+)", base)
    groups = ("channel", "domain") if directed else ()
    return f"feature.{base}" in WORDS or any(f"{group}.{directed[1]}" in WORDS for group in groups if directed)


# ---- in a browser ----


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[str]:
    """The address of a real service, with a shop in crisis and a neighbour who is well."""
    with _running(tmp_path_factory.mktemp("page")) as url:
        _send(url, *_crisis())
        yield url


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    browser = Browser(language="en")
    yield browser
    browser.close()


@pytest.fixture
def browser(window) -> Iterator[Browser]:
    """The window, at an ordinary size and as new; nothing may have been refused or raised in it."""
    window.resize(1280)
    window.complaints.clear()
    yield window
    assert window.complaints == []


READ = {
    "en": {
        "owed": "A promised time",
        "verdict": "Refused",
        "reason": "Do not sell or promote anything to a customer in crisis.",
        "unless": "stage of the relationship were Recovering",
    },
    "es": {
        "owed": "Un plazo de solución",
        "verdict": "Rechazado",
        "reason": "No vender ni promocionar nada a un cliente en crisis.",
        "unless": "etapa de la relación fuera En recuperación",
    },
}


@needs_chromium
@pytest.mark.parametrize("language", READ)
def test_stage_debts_verdicts_and_counts_can_be_read(service, browser, language):
    read, steady = READ[language], WORDS["stage.steady"][language]
    browser.open(_address(service, lang=language))

    browser.wait_for_text("#portrait", read["owed"])
    assert browser.text("#stage-name") == "Crisis"
    assert "terminal-T1" in browser.text("#portrait")
    browser.wait_for_text("#stages", steady)
    assert _counts(browser) == {"Crisis": "1", steady: "1"}

    browser.click("#ask")
    browser.wait_for_text("#answer", read["reason"])
    assert browser.text(".verdicts li .mark").endswith(read["verdict"])
    assert read["unless"] in browser.text(".unless")
    assert "tone: empathetic" in browser.text("[data-verdict=allow] .modifications")
    assert browser.run("document.querySelectorAll('.verdicts > li').length") == 5
    assert browser.run("document.querySelectorAll('[data-verdict=allow]').length") == 1


@needs_chromium
def test_the_language_can_be_changed_and_the_reasons_follow(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#portrait", "What we owe".upper())
    browser.click("#ask")
    browser.wait_for_text("#answer", "Do not sell")

    browser.click("#languages [value=es]")

    browser.wait_for_text("#answer", "No vender")
    assert "LO QUE LE DEBEMOS" in browser.text("#portrait")
    assert browser.run("document.documentElement.lang") == "es"
    assert browser.run("location.search").endswith("lang=es")


@needs_chromium
def test_the_browsers_language_is_the_default(service, browser):
    browser.open(service)

    browser.wait_for_text("#portrait", "Name a customer")


@needs_chromium
def test_the_timeline_tells_what_came_and_what_followed_and_shows_markup_as_text(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#timeline-items", "Account opened")

    told = browser.text("#timeline-items")
    assert "Case opened · connectivity · terminal-T1 · severity 1" in told
    assert "<b>It is down</b> again" in told
    assert "Owed: A promised time" in told
    assert re.search(r"Steady\s*→\s*Crisis", told)
    assert browser.run("document.querySelectorAll('#ribbon rect').length") >= 2
    assert browser.text(".stage-of") == SHOP
    assert browser.run("document.querySelectorAll('main img, main q b').length") == 0
    assert browser.run("document.title") == "Membrane"


@needs_chromium
def test_a_new_signal_shows_by_itself_and_an_open_detail_stays_open(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#timeline-items", "Account opened")
    browser.run("document.querySelector('#timeline-items details').open = true")

    _send(service, _event("live-1", "usage.measured", hours=3, metric="payments", value=12))

    browser.wait_for_text("#timeline-items", "Usage measured")
    assert browser.text("#connection") == "Live"
    assert browser.run("document.querySelectorAll('#timeline-items details[open]').length") == 1


@needs_chromium
def test_an_answer_about_an_older_state_says_so(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#timeline-items", "Account opened")
    browser.click("#ask")
    browser.wait("document.querySelector('.verdicts')")

    _send(service, _event("live-2", "usage.measured", hours=4, metric="payments", value=13))

    browser.wait_for_text("#answer", "The customer has changed since this answer")


@needs_chromium
def test_a_never_seen_customer_is_said_to_be_so_and_can_still_be_asked_about(service, browser):
    browser.open(f"{service}/?customer=nobody&lang=en")

    browser.wait_for_text("#portrait", "Never seen")
    assert browser.run("document.getElementById('timeline').hidden")
    browser.click("#ask")
    browser.wait_for_text("#answer", "never seen")
    browser.complaints.clear()  # the browser's own note of the 404


@needs_chromium
def test_a_refused_request_shows_the_problem(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#portrait", "Crisis")
    browser.run("document.getElementById('decision-at').replaceChildren(new Option('never', 24 * 365))")

    browser.click("#ask")

    browser.wait_for_text("#answer .problem", "Unprocessable")
    browser.complaints.clear()  # the browser's own note of the 422


@needs_chromium
def test_a_silent_service_is_told_and_what_was_seen_stays(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#connection", "Live")

    browser.offline(True)
    browser.wait_for_text("#connection", "No answer; what you see is from")
    assert browser.text("#stage-name") == "Crisis"

    browser.offline(False)
    browser.wait_for_text("#connection", "Live")
    browser.complaints.clear()  # the browser's own notes of failed requests


@needs_chromium
def test_a_hidden_page_pauses_and_comes_back(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait_for_text("#connection", "Live")

    _hide(browser, hidden=True)
    browser.wait_for_text("#connection", "Paused while hidden")
    _hide(browser, hidden=False)
    browser.wait_for_text("#connection", "Live")


@needs_chromium
def test_the_page_fits_a_small_telephone(service, browser):
    browser.resize(360, 740)
    browser.open(_address(service, lang="es"))
    browser.wait_for_text("#timeline-items", "Cuenta abierta")
    browser.click("#ask")
    browser.wait("document.querySelector('.verdicts')")

    assert browser.run("document.documentElement.scrollWidth") <= 360


@needs_chromium
def test_every_control_has_a_name_and_the_form_offers_the_vocabulary(service, browser):
    browser.open(_address(service, lang="en"))
    browser.wait("document.querySelector('#candidates select')")

    assert (
        browser.run(
            "[...document.querySelectorAll('button, input, select')].filter((one) => one.checkVisibility() &&"
            " !(one.labels?.length || one.getAttribute('aria-label') || one.innerText.trim())).length"
        )
        == 0
    )
    offered = browser.run("import('/static/candidates.js').then((form) => [form.KINDS, form.CHANNELS])")
    kinds = {domain: [kind for some in classes.values() for kind in some] for domain, classes in KINDS.items()}
    assert offered == [kinds, [channel for channel in CHANNELS if channel != "other"]]


@needs_chromium
def test_a_key_is_asked_for_only_when_the_service_wants_one(service, browser, tmp_path):
    browser.open(service)
    browser.wait_for_text("#stages", "customers")
    assert browser.run("document.getElementById('key-form').hidden")

    with _running(tmp_path, "--keys", str(_keys_file(tmp_path))) as url:
        browser.open(f"{url}/?lang=en")
        browser.wait("!document.getElementById('key-form').hidden")
        _give_key(browser, "wrong")
        browser.wait_for_text("#key-problem", "this key is not known")
        _give_key(browser, KEY)
        browser.wait_for_text("#connection", "Live")
        assert browser.run("sessionStorage.getItem('membrane-key')") == KEY
        assert browser.run("localStorage.length") == 0
    browser.complaints.clear()  # the browser's own notes of the 401s


# ---- help ----


class _running:  # noqa: N801 - reads as what it is: `with _running(...) as url`
    """A whole service in a folder, ended on leaving."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "cli.main", "up", "--data", str(folder / "data"), "--port", "0"]
        more = ["--partitions", "2", "--clock", "signals", "--runner", "plain", *options]
        self._log = (folder / "up.log").open("wb+")
        self._process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=self._log, text=True)

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.search(r"ready at (http://\S+)", line)
            if found:
                return found[1]
        self._log.seek(0)
        raise AssertionError(f"the service did not start: {self._log.read().decode()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)
        self._log.close()


NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=30)


def _event(identity: str, name: str, *, hours: float, subject: str = SHOP, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": identity, "source": "test", "type": f"cx.{name}.v1", "subject": subject,
        "time": (NOON + timedelta(hours=hours)).isoformat(), "data": data,
    }  # fmt: skip


def _crisis() -> list[dict[str, Any]]:
    problem = {"category": "connectivity", "product": "terminal-T1", "severity": 1}
    angry = {"channel": "chat", "text": "<b>It is down</b> again", "sentiment": -0.8, "case": "case-1"}
    return [
        _event("n-1", "account.opened", hours=-48, subject="neighbour"),
        _event("s-1", "account.opened", hours=-24),
        _event("s-2", "case.opened", hours=0, case="case-1", **problem),
        _event("s-3", "message.received", hours=1, **angry),
        _event("n-2", "usage.measured", hours=2.5, subject="neighbour", metric="payments", value=40),
    ]


def _send(url: str, *events: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    with urlopen(Request(f"{url}/v1/signals", json.dumps(events).encode(), headers)) as answer:
        assert json.load(answer)["accepted"] == len(events)


def _address(url: str, *, lang: str) -> str:
    return f"{url}/?customer={quote(SHOP)}&lang={lang}"


def _counts(browser: Browser) -> dict[str, str]:
    rows = "[...document.querySelectorAll('.bars li')].map((row) => row.innerText.split(/\\s*\\n\\s*/))"
    return {row[0]: row[1] for row in browser.run(rows) if row[1] != "0"}


def _hide(browser: Browser, *, hidden: bool) -> None:
    browser.run(f"Object.defineProperty(document, 'hidden', {{value: {json.dumps(hidden)}, configurable: true}})")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")


def _give_key(browser: Browser, key: str) -> None:
    browser.run(f"document.getElementById('key').value = {json.dumps(key)}")
    browser.click("#key-form button")


def _keys_file(folder: Path) -> Path:
    path = folder / "keys.yaml"
    digest = sha256(KEY.encode()).hexdigest()
    path.write_text(f"- {{sha256: {digest}, tenant: shop, scopes: [read, decide]}}\n")
    return path
