"""What `membrane doctor` finds around the stores: the port, who sends, and what a trimmed log needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

import msgspec

from cli.findings import Finding, Patient
from membrane.errors import RecordUnreadable
from membrane.ports import RecordKind
from membrane.signals import PROBE, read_stored
from membrane.times import HOUR, format_time
from storage.checkpoints import fault_of
from storage.clock import wall_ms
from storage.directory import DataDir

SILENT_MS: Final = 6 * HOUR
GAPS: Final = 20
_LOOKED_AT: Final = 2_000
_LEAST_SIGNALS: Final = 10


def port(patient: Patient) -> Iterator[Finding]:
    """While `up` does not run, its port must be free."""
    if not patient.port or patient.pid("up") or patient.pid("api"):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", patient.port))
        except OSError as error:
            text = f"{patient.port} cannot be listened on: {error.strerror}"
            yield Finding("port", "note", text, "stop what has it, or choose another: membrane up --port N")
            return
    yield Finding("port", "ok", f"{patient.port} is free")


def checkpoints(patient: Patient) -> Iterator[Finding]:
    """A log that was trimmed cannot be rebuilt without its checkpoints, and nobody reads these until then."""
    directory = patient.directory
    trimmed = [number for number in range(directory.partitions) if directory.trimmed(number)]
    lacking = [str(number) for number in trimmed if not _is_sound(directory, number)]
    if lacking:
        text = (
            f"the log of partition {', '.join(lacking)} was trimmed, and its checkpoint is lost or damaged: no rebuild "
            "is possible"
        )
        remedy = f"put the folder {directory.path / 'checkpoint'} back from a backup (membrane restore)"
        yield Finding("checkpoints", "bad", text, remedy)
    elif trimmed:
        yield Finding("checkpoints", "ok", f"the log was trimmed, {len(trimmed)} checkpoints are there")


def _is_sound(directory: DataDir, partition: int) -> bool:
    try:
        return directory.has_checkpoint(partition) and fault_of(directory.checkpoint_path(partition)) is None
    except RecordUnreadable:
        return False


def sources(patient: Patient) -> Iterator[Finding]:
    """Who sent regularly of late, and is silent for many times its usual gap: by the latest records of each
    partition."""
    received: dict[str, list[int]] = {}
    for number in range(patient.directory.partitions):
        first = max(0, patient.log.end(number) - _LOOKED_AT)
        for record in patient.log.read(number, first, _LOOKED_AT):
            if record.kind is RecordKind.SIGNAL:
                source = _source(record.body)
                if source not in (None, PROBE):
                    received.setdefault(str(source), []).append(record.received_ms)
    now = wall_ms()
    for source, moments in sorted(received.items()):
        last = max(moments)
        gap = (last - min(moments)) / max(1, len(moments) - 1)
        if len(moments) >= _LEAST_SIGNALS and now - last > max(SILENT_MS, GAPS * gap):
            text = f"{source} is silent since {format_time(last)}; it used to send every {gap / 1000:.0f} s"
            yield Finding("sources", "note", text, "see whether it runs, and whether its key is valid (401, 403)")
    if received:
        yield Finding("sources", "ok", f"{len(received)} sent of late")


def _source(body: bytes) -> str | None:
    try:
        return read_stored(body).source
    except msgspec.MsgspecError:
        return None
