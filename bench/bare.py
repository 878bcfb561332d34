"""The bare route: the API's own server and settings, whose app reads the body and sends fixed bytes. The control of
every figure of a decision: `python -m bench.bare PORT FILE`, FILE holding the answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import uvloop

from serving.answers import send_json
from serving.config import ServeConfig
from serving.http import Server, listening_socket
from serving.limits import MAX_DECISION_BYTES, Receive, Scope, Send, read_body


async def _run(port: int, answer: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await read_body(scope, receive, cap=MAX_DECISION_BYTES)
        await send_json(send, 200, answer)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)  # it holds nothing
    await Server(app, ServeConfig(data=Path(), port=port)).serve([listening_socket("127.0.0.1", port, share=False)])


if __name__ == "__main__":
    body = Path(sys.argv[2]).read_bytes()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(int(sys.argv[1]), body))
