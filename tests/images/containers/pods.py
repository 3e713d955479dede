"""Pods of a plan run by a container engine: their users, file systems, limits, environment and arguments.

All containers share one network namespace that leads nowhere else. What the kubelet and the cluster give beyond a
container (probes, restarts, roles of service accounts) is not here.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_S = 600
"""Longest wait for a server, on a busy machine."""
_POLL_S = 1.0
_UNITS = {"Mi": "m", "Gi": "g"}


@dataclass(kw_only=True)
class Pods:
    """What the pods of a test find around them, and the containers that run for it."""

    command: Sequence[str]
    images: Mapping[str, str]
    """The image that a repository's last word stands for."""
    folder: Path
    hosts: Sequence[str] = ()
    """Names that all lead to this network namespace."""
    objects: dict[str, dict[str, Mapping[str, str]]] = field(default_factory=lambda: {"Secret": {}, "ConfigMap": {}})
    """Data of Secrets and ConfigMaps by name."""
    database: str = ""
    """The database's container."""
    started: list[str] = field(default_factory=list)
    network: str = ""
    _numbers: Any = field(default_factory=itertools.count)

    def begin(self) -> None:
        """Make the network namespace, and the file of hosts' names."""
        (self.folder / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *self.hosts)))
        self.network = self._start(["--network", "none", self.images["busybox"], "sleep", "7200"])

    def adopt(self, objects: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """Take over the Secrets and ConfigMaps of a release, but for those that the test has made."""
        for kind, data in objects.items():
            self.objects[kind] = {**data, **self.objects[kind]}

    def end(self) -> None:
        """Remove every container."""
        for container in reversed(self.started):  # the network's is needed by the others
            for verb in (("kill",), ("rm", "--force")):
                subprocess.run([*self.command, *verb, container], capture_output=True, check=False)

    def run(
        self, spec: Mapping[str, Any], *, name: str | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a pod's containers to their end, the first ones first; return the output of the last.

        `environment` is what the containers are told beside what their pod says: where things are.
        """
        volumes = self._volumes(spec)
        containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
        output = ""
        for container in containers:
            if name in (None, container["name"]):
                output = self.call("run", "--rm", *self._options(spec, container, volumes, environment or {}))
        return output

    def start(self, spec: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> str:
        """Run a pod's first containers to their end and start its main one; return that one's name."""
        volumes, told = self._volumes(spec), environment or {}
        for container in spec.get("initContainers") or ():
            self.call("run", "--rm", *self._options(spec, container, volumes, told))
        return self._start(self._options(spec, spec["containers"][0], volumes, told))

    def start_image(self, image: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """Start a server that is no pod of ours, such as the database; return its container's name."""
        return self._start([*self._network(), *options, image, *arguments])

    def inside(self, container: str, *arguments: str) -> str:
        """Run a command in a running container and return its output."""
        return self.call("exec", container, *arguments)

    def python(self, container: str, code: str) -> Any:
        """Run Python in a running container and return the JSON value that its last line is."""
        output = self.inside(container, "python", "-c", code)
        return json.loads(output.strip().splitlines()[-1])

    def wait(self, container: str, *arguments: str) -> None:
        """Wait until a command succeeds in a running container; fail with its log when that ends or takes too long."""
        deadline = time.monotonic() + READY_S
        while True:
            asked = subprocess.run(
                [*self.command, "exec", container, *arguments], capture_output=True, text=True, check=False
            )
            if asked.returncode == 0:
                return
            running = self.call("inspect", "--format", "{{.State.Running}}", container).strip()
            if running != "true" or time.monotonic() > deadline:
                raise AssertionError(
                    f"{arguments} in {container}: {asked.stderr[-500:]}\n{self.log(container)[-4000:]}"
                )
            time.sleep(_POLL_S)

    def log(self, container: str) -> str:
        """Return what a container wrote."""
        done = subprocess.run([*self.command, "logs", container], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def kill(self, container: str) -> None:
        """End a container at once, as a node that is lost does."""
        self.call("kill", "--signal", "KILL", container)

    def call(self, *arguments: str) -> str:
        """Run the engine; raise AssertionError with all that was written when it fails."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            told = done.stdout[-3000:] + done.stderr[-5000:]
            raise AssertionError(f"{' '.join(arguments)[:2000]}: exit status {done.returncode}\n{told}")
        return done.stdout

    def _start(self, options: Sequence[str]) -> str:
        name = f"ml-platform-test-{secrets.token_hex(4)}"
        self.started.append(name)
        self.call("run", "--detach", "--name", name, *options)
        return name

    def _network(self) -> list[str]:
        return ["--network", f"container:{self.network}", "--volume", f"{self.folder / 'hosts'}:/etc/hosts:ro"]

    def _options(
        self,
        spec: Mapping[str, Any],
        container: Mapping[str, Any],
        volumes: Mapping[str, Path],
        told: Mapping[str, str],
    ) -> list[str]:
        context = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        user, group = context["runAsUser"], context["runAsGroup"]
        options = [*self._network(), "--user", f"{user}:{group}", "--cap-drop", "ALL"]
        options += ["--security-opt", "no-new-privileges"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["allowPrivilegeEscalation"] is False
        if context.get("readOnlyRootFilesystem"):
            options.append("--read-only")
            if "podman" in self.call("--version"):
                options.append("--read-only-tmpfs=false")  # otherwise a /tmp that Kubernetes does not give
        if memory := (container.get("resources") or {}).get("limits", {}).get("memory"):
            options += ["--memory", re.sub("[MG]i$", lambda unit: _UNITS[unit[0]], memory)]
        variables = {**self._variables(container), **told}
        for name, value in variables.items():
            options += ["--env", f"{name}={value}"]
        for mount in container.get("volumeMounts") or ():
            if source := volumes.get(mount["name"]):
                mode = ":ro" if mount.get("readOnly") else ""
                options += ["--volume", f"{source / mount.get('subPath', '')}:{mount['mountPath']}{mode}"]
        command, arguments = (
            [_expanded(word, variables) for word in container.get(key) or ()] for key in ("command", "args")
        )
        if command:
            options += ["--entrypoint", command[0]]
        return [*options, self.image_of(container["image"]), *command[1:], *arguments]

    def image_of(self, reference: str) -> str:
        """Return the image that the engine has for a reference of the plan."""
        name = re.sub(r"(@.*|:[^:/]+)$", "", reference.partition("@")[0]).rpartition("/")[2]
        return self.images.get(name, reference)

    def _variables(self, container: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in container.get("envFrom") or ():
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in one:
                    found |= self.objects[kind][one[key]["name"]]
        for one in container.get("env") or ():
            source = one.get("valueFrom") or {}
            if reference := source.get("secretKeyRef"):
                found[one["name"]] = self.objects["Secret"][reference["name"]][reference["key"]]
            elif not source:
                found[one["name"]] = _expanded(str(one.get("value", "")), found)
        return found

    def _volumes(self, spec: Mapping[str, Any]) -> dict[str, Path]:
        """Make a folder for each volume, which everyone may write, as the volume's group may in a cluster."""
        place = self.folder / f"volumes-{next(self._numbers)}"
        folders = {}
        for volume in spec.get("volumes") or ():
            named = volume.get("configMap") or volume.get("secret") or {}
            kind = "ConfigMap" if "configMap" in volume else "Secret"
            content = self.objects[kind].get(named.get("name") or named.get("secretName") or "", {})
            if named.get("optional") and not content:
                continue
            folder = folders[volume["name"]] = place / volume["name"]
            folder.mkdir(parents=True)
            for name, text in content.items():
                (folder / name).write_text(text)
                (folder / name).chmod(named.get("defaultMode", 0o644))
            folder.chmod(0o777)
        return folders


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """Return an argument as Kubernetes makes it: `$(NAME)` is the variable's value, and `$$` one dollar sign."""
    return re.sub(
        r"\$(\$|\((\w+)\))", lambda found: "$" if found[1] == "$" else variables.get(found[2], found[0]), word
    )
