"""The manifests: valid, locked down, and in agreement with the code. They are looked at as kustomize renders them."""

from __future__ import annotations

import base64
import copy
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from k8s.generate import FILES, K8S
from serving.auth import read_keys
from serving.following import KEEP_ALIVE_SECONDS
from serving.limits import KIB, MAX_BATCH_BYTES, SIMULATION_SECONDS
from tests import processes
from tests.k8s.manifests import (
    KUBECTL,
    OVERLAYS,
    Document,
    Manifests,
    documents,
    faults,
    given_paths,
    held_files,
    rendered,
    routes,
)

CUSTOM = {"ServiceMonitor", "PrometheusRule"}  # validators know the cluster's own kinds alone
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed: nothing renders the manifests")


@pytest.fixture(scope="module", params=OVERLAYS, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    return rendered(request.param)


@pytest.fixture(scope="module")
def manifests(text: str) -> Manifests:
    return Manifests(documents(text))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    return routes(tmp_path_factory.mktemp("k8s") / "data")


@pytest.mark.parametrize("name", FILES)
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (K8S / name).read_text(encoding="utf-8") == FILES[name](), "run `make docs`"


@needs_kubectl
def test_every_resource_is_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(text)
    validate = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run([validate, "--strict", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    unknown = set(re.findall(r"Couldn't find schema for kind (\w+)", done.stdout + done.stderr))
    assert unknown <= CUSTOM
    assert len(re.findall("passed for resource", done.stdout + done.stderr)) == sum(
        document["kind"] not in CUSTOM for document in documents(text)
    )


@needs_kubectl
def test_the_manifests_name_nothing_that_is_not_there(manifests: Manifests, served: frozenset[str]) -> None:
    assert faults(manifests, served) == []


def _container(manifests: Manifests) -> Document:
    found: Document = manifests.named("StatefulSet", "membrane")["spec"]["template"]["spec"]["containers"][0]
    return found


def _job(manifests: Manifests) -> Document:
    found: Document = manifests.of("CronJob")[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


PLANTED: dict[str, Callable[[Manifests], object]] = {
    "another port": lambda m: _container(m)["ports"][0].update(containerPort=9090),
    "a port without a name of ours": lambda m: m.of("Service")[0]["spec"]["ports"][0].update(targetPort="web"),
    "a variable that nobody reads": lambda m: _container(m)["env"].append({"name": "MEMBRANE_DATE", "value": "1"}),
    "a value that is refused": lambda m: _container(m)["env"].append({"name": "MEMBRANE_CLOCK", "value": "sun"}),
    "a command that is none": lambda m: _container(m).update(args=["run"]),
    "an option that is none": lambda m: _job(m)["initContainers"][0]["args"].append("--epochs=3"),
    "a probe of nothing": lambda m: _container(m)["readinessProbe"]["httpGet"].update(path="/healthz"),
    "a scrape of nothing": lambda m: m.of("ServiceMonitor")[0]["spec"]["endpoints"][0].update(path="/stats"),
    "an ingress to nothing": lambda m: m.of("Ingress")[0]["spec"]["rules"][0]["http"]["paths"][0].update(path="/v2"),
    "a file that no Secret holds": lambda m: m.named("Secret", "membrane-keys")["data"].pop("keys.yaml"),
    "data on no volume": lambda m: _container(m)["volumeMounts"].pop(0),
    "a budget for nobody": lambda m: m.of("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"].update(x="y"),
}  # fmt: skip


@needs_kubectl
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_each_planted_fault_is_found(
    plant: Callable[[Manifests], object], manifests: Manifests, served: frozenset[str]
) -> None:
    changed = copy.deepcopy(manifests)
    plant(changed)
    assert faults(changed, served) != []


@needs_kubectl
def test_every_container_is_locked_down_and_bounded(manifests: Manifests) -> None:
    for pod in manifests.pods():
        own = pod.spec["securityContext"]
        assert (own["runAsNonRoot"], own["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert own["runAsUser"] == own["runAsGroup"] == own["fsGroup"] > 0
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False, "a Service named membrane would set MEMBRANE_PORT"
        for container in pod.containers():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


@needs_kubectl
def test_the_ingress_lets_in_what_the_api_takes_and_waits_as_long(manifests: Manifests) -> None:
    annotations = manifests.of("Ingress")[0]["metadata"]["annotations"]
    size = f"{MAX_BATCH_BYTES // KIB // KIB}m"
    assert {value for name, value in annotations.items() if name.endswith("body-size")} == {size}
    waits = {int(value.removesuffix("s")) for name, value in annotations.items() if name.endswith("read-timeout")}
    assert len(waits) == 1
    assert min(waits) > max(SIMULATION_SECONDS, KEEP_ALIVE_SECONDS)


@needs_kubectl
def test_nobody_gets_in_before_keys_are_written(manifests: Manifests, tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(base64.b64decode(manifests.named("Secret", "membrane-keys")["data"]["keys.yaml"]))
    assert read_keys(file) == {}


@needs_kubectl
def test_the_pod_starts_and_answers_its_probes(manifests: Manifests, tmp_path: Path) -> None:
    """The container's own words and variables; its volumes are folders, its address is loopback."""
    pod = next(pod for pod in manifests.pods() if pod.ports())
    container, port = pod.spec["containers"][0], processes.free_port()
    _mount(manifests, pod.spec, container, tmp_path)
    moved = {"MEMBRANE_HOST": "127.0.0.1", "MEMBRANE_PORT": str(port), "MEMBRANE_LEARN": "off"}
    variables = {one["name"]: str(one["value"]) for one in container["env"]} | moved
    for path in given_paths(container):
        variables = {name: value.replace(str(path), f"{tmp_path}{path}") for name, value in variables.items()}
    told = tmp_path / "told"
    with told.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *container["args"]],
            cwd=processes.ROOT, env={**processes.environment(), **variables}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        probes = [container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False, trust_env=False) as client:
            processes.wait_until(lambda: _answers(client, probes[0]), told.read_text())
            asked = {path: client.get(path).status_code for path in [*probes, "/metrics", "/v1/stages"]}
    finally:
        running.send_signal(signal.SIGTERM)
        code = running.wait(30)
    assert asked == {**dict.fromkeys([*probes, "/metrics"], 200), "/v1/stages": 401}
    assert code == 0, told.read_text()


def _mount(manifests: Manifests, spec: Document, container: Document, root: Path) -> None:
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        folder = Path(f"{root}{mount['mountPath']}")
        folder.mkdir(parents=True, exist_ok=True)
        volume = volumes.get(mount["name"], {})
        for name, content in (held_files(manifests, volume) or {}).items():
            (folder / name).write_bytes(base64.b64decode(content) if "secret" in volume else os.fsencode(content))


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
