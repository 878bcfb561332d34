"""Writes the generated files of k8s/: `python -m k8s.generate`, part of `make docs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

K8S: Final = Path(__file__).parent
ROOT: Final = K8S.parent


def principles() -> str:
    """The pack that ships: kustomize reads nothing from outside its folder."""
    return (ROOT / "membrane/packs/default.yaml").read_text(encoding="utf-8")


FILES: Final[dict[str, Callable[[], str]]] = {
    "overlays/single/principles.yaml": principles,
}


def main() -> None:
    """Writes each file."""
    for name, made in FILES.items():
        (K8S / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
