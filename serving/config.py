"""What an API process is started with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.limits import DECISION_SECONDS, MAX_CONNECTIONS
from serving.simulation import Child
from storage.clock import wall_ms

Clock = Literal["wall", "signals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Settings of one API process.

    `data`: the data directory, made if missing. `keys`: the keys file; without one only loopback is served.
    `parent_pid`: stop when that is no longer our parent. `share_port`: other API processes of the same directory listen
    there, too. `deadline_seconds`: what a decision has not judged by then gets its class default. `child`: how to run
    another `membrane` command as our child, for what is too slow to be done here.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    partitions: int | None = None
    clock: Clock = "wall"
    keys: Path | None = None
    parent_pid: int | None = None
    share_port: bool = False
    max_connections: int = MAX_CONNECTIONS
    decision_log: Literal["block", "drop"] = "drop"
    deadline_seconds: float = DECISION_SECONDS
    now_ms: Callable[[], int] = wall_ms
    child: Child | None = None
