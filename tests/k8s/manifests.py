"""The manifests as kustomize renders them, and what they name that the code does not have."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

import yaml

from cli.arguments import build_parser
from cli.options import VARIABLE_PREFIX, environment_name
from serving.app import create_app
from serving.config import ServeConfig
from serving.services import Services

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path.parent for path in (ROOT / "k8s/overlays").glob("*/kustomization.yaml"))
IMAGE: Final = "membrane"
KUBECTL = shutil.which("kubectl")

Document = dict[str, Any]


def rendered(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    assert KUBECTL is not None
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> list[Document]:
    """The resources of a rendering."""
    return [document for document in yaml.safe_load_all(text) if document]


@dataclass(frozen=True)
class Pod:
    """A pod's template: whose it is, its labels, its spec."""

    owner: str
    labels: dict[str, str]
    spec: Document

    def containers(self) -> list[Document]:
        """Those that start it and those that run in it."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def ports(self) -> dict[str, int]:
        """Its ports by name."""
        return {port["name"]: port["containerPort"] for one in self.containers() for port in one.get("ports", [])}


@dataclass(frozen=True)
class Manifests:
    """The resources of one overlay."""

    resources: list[Document]

    def of(self, kind: str) -> list[Document]:
        """Those of a kind."""
        return [one for one in self.resources if one["kind"] == kind]

    def named(self, kind: str, name: str) -> Document:
        """The one of that kind and name."""
        return next(one for one in self.of(kind) if one["metadata"]["name"] == name)

    def pods(self) -> list[Pod]:
        """Every template of a pod."""
        templates = [one["spec"]["template"] for one in self.of("StatefulSet")]
        templates += [one["spec"]["jobTemplate"]["spec"]["template"] for one in self.of("CronJob")]
        owners = [one["metadata"]["name"] for kind in ("StatefulSet", "CronJob") for one in self.of(kind)]
        return [
            Pod(owner, template["metadata"]["labels"], template["spec"])
            for owner, template in zip(owners, templates, strict=True)
        ]

    def selected(self, selector: Document) -> list[Pod]:
        """The pods that carry all of the labels."""
        return [pod for pod in self.pods() if selector.items() <= pod.labels.items()]


def parsed(container: Document) -> argparse.Namespace:
    """The command that a container runs, with its variables. ValueError says what the command line refuses."""
    variables = {one["name"]: one["value"] for one in container.get("env", [])}
    with mock.patch.dict(os.environ, variables, clear=True):
        parser = build_parser()
        try:
            with mock.patch.object(argparse.ArgumentParser, "error", _refuse):
                return parser.parse_args(container["args"])
        except SystemExit as error:
            raise ValueError(f"ended with {error.code}") from error


def _refuse(_parser: argparse.ArgumentParser, message: str) -> None:
    raise ValueError(message)


def options(words: Iterable[str]) -> set[str]:
    """The variables that a command reads."""
    parser: Any = build_parser()
    for word in words:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not groups or word not in groups[0].choices:
            break
        parser = groups[0].choices[word]
    return {environment_name(flag) for action in parser._actions for flag in action.option_strings[:1]}


@cache
def routes(data: Path) -> frozenset[str]:
    """Every path that the API answers."""
    services = Services.open(ServeConfig(data=data))
    try:
        return frozenset(create_app(services).router.openapi()["paths"])
    finally:
        services.close()


def faults(manifests: Manifests, served: frozenset[str]) -> list[str]:
    """What the manifests name that neither the code nor they themselves have."""
    return [
        *_command_faults(manifests),
        *_port_faults(manifests),
        *_route_faults(manifests, served),
        *_file_faults(manifests),
        *_selector_faults(manifests),
    ]


def _command_faults(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers():
            where = f"{pod.owner}/{container['name']}"
            try:
                given = parsed(container)
            except ValueError as error:
                yield f"{where}: {error}"
                continue
            ours = {one["name"] for one in container.get("env", []) if one["name"].startswith(VARIABLE_PREFIX)}
            yield from (f"{where}: no command reads {name}" for name in ours - options(container["args"]))
            port = getattr(given, "port", None)
            opened = [port["containerPort"] for port in container.get("ports", [])]
            if opened != ([] if port is None else [port]):
                yield f"{where}: listens on {port}, names {opened}"


def _port_faults(manifests: Manifests) -> Iterator[str]:
    """Named ports that whoever is behind them does not have."""
    for where, asked, there in _asked_ports(manifests):
        yield from (f"{where}: no port {port}" for port in asked - there)


def _asked_ports(manifests: Manifests) -> Iterator[tuple[str, set[str], set[str]]]:
    """Who asks, for which ports, and which there are."""
    services = {one["metadata"]["name"]: one["spec"] for one in manifests.of("Service")}
    offered = {name: {port["name"] for port in spec["ports"]} for name, spec in services.items()}
    for pod in manifests.pods():
        for container in pod.containers():
            there = {port["name"] for port in container.get("ports", [])}
            yield f"probe of {pod.owner}", {probe["port"] for probe in _probes(container)}, there
    for name, spec in services.items():
        for pod in manifests.selected(spec["selector"]):
            yield f"service {name}", {port["targetPort"] for port in spec["ports"]}, set(pod.ports())
    for backend in _backends(manifests):
        yield "ingress", {backend["port"]["name"]}, offered.get(backend["name"], set())
    for monitor in manifests.of("ServiceMonitor"):
        yield "monitor", {one["port"] for one in monitor["spec"]["endpoints"]}, set().union(*offered.values())
    for policy in manifests.of("NetworkPolicy"):
        pods = manifests.selected(policy["spec"]["podSelector"]["matchLabels"])
        asked = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        yield "network policy", asked, {name for pod in pods for name in pod.ports()}


def _route_faults(manifests: Manifests, served: frozenset[str]) -> Iterator[str]:
    asked = [probe["path"] for pod in manifests.pods() for one in pod.containers() for probe in _probes(one)]
    asked += [one["path"] for monitor in manifests.of("ServiceMonitor") for one in monitor["spec"]["endpoints"]]
    yield from (f"nothing is served at {path}" for path in asked if path not in served)
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for one in rule["http"]["paths"]:
                if not any(route.startswith(one["path"] + "/") for route in served):
                    yield f"ingress: nothing is served under {one['path']}"


def _file_faults(manifests: Manifests) -> Iterator[str]:
    """Paths that a container is given lie on a volume; files of a ConfigMap or Secret are in it."""
    for pod in manifests.pods():
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for container in pod.containers():
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            for path in given_paths(container):
                mounted = next((root for root in mounts if path.is_relative_to(root)), None)
                if mounted is None:
                    yield f"{pod.owner}/{container['name']}: {path} is on no volume"
                    continue
                held = held_files(manifests, volumes.get(mounts[mounted], {}))
                if held is not None and str(path.relative_to(mounted)) not in held:
                    yield f"{pod.owner}/{container['name']}: {path} is in no ConfigMap or Secret"


def _selector_faults(manifests: Manifests) -> Iterator[str]:
    selectors = [one["spec"]["selector"] for one in manifests.of("Service")]
    selectors += [
        one["spec"]["selector"]["matchLabels"]
        for kind in ("StatefulSet", "PodDisruptionBudget")
        for one in manifests.of(kind)
    ]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in manifests.of("NetworkPolicy")]
    for pod in manifests.pods():
        wanted = pod.spec.get("affinity", {}).get("podAffinity", {})
        terms = wanted.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        selectors += [term["labelSelector"]["matchLabels"] for term in terms]
    yield from (f"no pod is {selector}" for selector in selectors if not manifests.selected(selector))
    for monitor in manifests.of("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        if not any(wanted.items() <= one["metadata"]["labels"].items() for one in manifests.of("Service")):
            yield f"no service is {wanted}"


def given_paths(container: Document) -> list[Path]:
    """The absolute paths among the words and variables of a container."""
    values = [*container["args"], *(one["value"] for one in container.get("env", []))]
    return [Path(value) for value in values if value.startswith("/")]


def held_files(manifests: Manifests, volume: Document) -> dict[str, str] | None:
    """What a volume made of a ConfigMap or Secret holds; None for another."""
    if "configMap" in volume:
        found: dict[str, str] = manifests.named("ConfigMap", volume["configMap"]["name"])["data"]
        return found
    if "secret" in volume:
        return dict(manifests.named("Secret", volume["secret"]["secretName"])["data"])
    return None


def _probes(container: Document) -> list[Document]:
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    return [container[kind]["httpGet"] for kind in kinds if kind in container]


def _backends(manifests: Manifests) -> list[Document]:
    return [
        one["backend"]["service"]
        for ingress in manifests.of("Ingress")
        for rule in ingress["spec"]["rules"]
        for one in rule["http"]["paths"]
    ]
