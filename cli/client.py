"""A client of the API: one connection kept alive, patient where the API asks for patience."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from membrane.errors import StoreUnavailable, UsageError

PATIENCE_SECONDS: Final = 60.0
TIMEOUT_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
JSON: Final = "application/json"
KEY_REFUSED: Final = frozenset({401, 403})
MISTAKES: Final = frozenset(range(400, 500)) - {408, 429}
"""The statuses by which whoever asks is at fault; by the others the service is, or what stands before it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON. StoreUnavailable if it is none: then it is no Membrane that answers."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise StoreUnavailable(f"JSON was required, the answer ({self.status}) holds something else") from error


class ApiClient:
    """Asks one API. Requests are repeated when the connection breaks or the API answers 503, for as long as a minute:
    every route that is used here may be asked twice."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        mistakes: Container[int] = MISTAKES,
    ) -> None:
        """`mistakes`: the statuses that are the user's own (UsageError); every other refusal is StoreUnavailable."""
        scheme, self._place, self._prefix = _parts(url)
        self._url = url
        self._kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience_seconds = patience_seconds
        self._mistakes = mistakes
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def get(self, path: str) -> Any:
        """The JSON of a GET. UsageError or StoreUnavailable for what the API refuses."""
        return self.expect_success(self.send("GET", path)).json()

    def post(self, path: str, body: bytes, media_type: str = JSON) -> Any:
        """The JSON answer to a POST. UsageError or StoreUnavailable for what the API refuses."""
        return self.expect_success(self.send("POST", path, body, media_type)).json()

    def delete(self, path: str) -> Any:
        """The JSON answer to a DELETE. UsageError or StoreUnavailable for what the API refuses."""
        return self.expect_success(self.send("DELETE", path)).json()

    def post_lines(self, path: str, body: bytes, media_type: str, key: str) -> list[bytes]:
        """The lines of the answer to a POST with an idempotency key. UsageError or StoreUnavailable for what the API
        refuses."""
        reply = self.send("POST", path, body, media_type, {"Idempotency-Key": key})
        return self.expect_success(reply).body.splitlines()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        media_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The reply, whatever its status but 503. StoreUnavailable when there is none in good time."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            pause, cause = _PAUSE_SECONDS, ""
            try:
                reply = self._once(method, path, body, {"Content-Type": media_type, **(headers or {})})
                if reply.status != http.client.SERVICE_UNAVAILABLE:
                    return reply
                pause, cause = _retry_after(reply), detail_of(reply)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                cause = str(error) or type(error).__name__
            if time.monotonic() + pause > deadline:
                raise StoreUnavailable(f"{self._url}: an answer was required, none came: {cause}")
            time.sleep(pause)

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The lines of an answer that goes on, over a connection of its own, until it breaks. UsageError or
        StoreUnavailable for what the API refuses, StoreUnavailable for a connection that cannot be had or breaks."""
        connection = self._kind(*self._place, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", self._prefix + path, headers={**self._headers, **headers})
            response = connection.getresponse()
            if response.status != http.client.OK:
                self.expect_success(Reply(response.status, response.read()))
            yield from response
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailable(f"{self._url}: the connection broke: {type(error).__name__}") from error
        finally:
            connection.close()

    def _once(self, method: str, path: str, body: bytes | None, given: Mapping[str, str]) -> Reply:
        if self._connection is None:
            host, port = self._place
            self._connection = self._kind(host, port, timeout=TIMEOUT_SECONDS)
        headers = {**self._headers, **given} if body is not None else self._headers
        self._connection.request(method, self._prefix + path, body, headers)
        response = self._connection.getresponse()
        return Reply(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})

    def expect_success(self, reply: Reply) -> Reply:
        """The reply itself. UsageError or StoreUnavailable for what the API refuses."""
        if reply.status >= http.client.BAD_REQUEST:
            refused = UsageError if reply.status in self._mistakes else StoreUnavailable
            raise refused(f"{self._url} answered {reply.status}: {detail_of(reply)}")
        return reply


def detail_of(reply: Reply) -> str:
    """What a problem+json says, as far as it can be read."""
    try:
        problem = json.loads(reply.body)
        return str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return http.client.responses.get(reply.status, "no reason given")


def _parts(url: str) -> tuple[str, tuple[str, int | None], str]:
    """Scheme, (host, port) and the path before ours. UsageError if there is no such thing in it."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.scheme, (parts.hostname, parts.port), parts.path.rstrip("/")
    except ValueError:  # a port that is none
        pass
    raise UsageError(f"--url {url}: a URL such as http://127.0.0.1:8080 was required")


def _retry_after(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE_SECONDS) if text.isdigit() else _PAUSE_SECONDS
