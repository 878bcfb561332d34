"""The tenants' file on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from membrane.errors import UsageError
from membrane.settings import TenantSettings
from membrane.tenants import read_tenants
from storage.documents import MAX_BYTES, read_document


@dataclass(frozen=True, slots=True)
class TenantFile:
    """What a file sets for each tenant, and the SHA-256 of its bytes."""

    tenants: dict[str, TenantSettings]
    digest: str


def read_tenant_file(path: Path) -> TenantFile:
    """A tenants' file. UsageError if it cannot be read, InvalidPrinciples with all its faults."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: a tenants file was required: {error.strerror}") from error
    document = read_document(data, str(path))
    return TenantFile(read_tenants(document.value, document.marks, str(path)), sha256(data).hexdigest())
