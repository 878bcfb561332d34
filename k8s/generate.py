"""Writes the generated files of k8s/: `python -m k8s.generate`, part of `make docs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Final

from k8s.dashboard import dashboard_json

K8S: Final = Path(__file__).parent
ROOT: Final = K8S.parent
RULES: Final = K8S / "alerts/membrane.rules.yaml"
_RULE_HEAD: Final = """\
# Generated from ../alerts/membrane.rules.yaml by `make docs`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: membrane
  labels: {app.kubernetes.io/name: membrane}
spec:
"""


def principles() -> str:
    """The pack that ships: kustomize reads nothing from outside its folder."""
    return (ROOT / "membrane/packs/default.yaml").read_text(encoding="utf-8")


def prometheus_rule() -> str:
    """The plain rules as the operator's resource."""
    return _RULE_HEAD + indent(RULES.read_text(encoding="utf-8"), "  ")


FILES: Final[dict[str, Callable[[], str]]] = {
    "overlays/single/principles.yaml": principles,
    "monitoring/prometheus-rule.yaml": prometheus_rule,
    "dashboards/membrane.json": dashboard_json,
}


def main() -> None:
    """Writes each file."""
    for name, made in FILES.items():
        (K8S / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
