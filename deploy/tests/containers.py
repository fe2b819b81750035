"""Images built by buildah and run by runc, which need no daemon. Both need root."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paths import run

from tests.support.processes import wait_for


@dataclass(frozen=True)
class Storage:
    """Images in a directory of their own."""

    directory: Path

    def buildah(self, *arguments: str | Path) -> str:
        """Return what buildah prints."""
        places = (f"--root={self.directory / 'storage'}", f"--runroot={self.directory / 'run'}")
        return run("buildah", "--storage-driver=vfs", *places, *arguments).strip()

    def build(self, tag: str, context: Path, *arguments: str) -> "Image":
        """Return the image of a directory with a Dockerfile."""
        self.buildah(
            "build", "--isolation=chroot", "--format=docker", "--quiet", "--tag", tag, *arguments, context
        )
        root = self.buildah("mount", self.buildah("from", "--pull-never", tag))
        config = json.loads(self.buildah("inspect", "--type=image", tag))["Docker"]["config"]
        return Image(tag, Path(root), config)


@dataclass(frozen=True)
class Image:
    """An image, unpacked."""

    tag: str
    root: Path
    config: Mapping[str, Any]
    """What the Dockerfile says beside files, under Docker's names: User, Entrypoint, Env, Healthcheck, …"""

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(
            path.lstat().st_size for path in self.root.rglob("*") if path.is_file() or path.is_symlink()
        )


@dataclass(frozen=True)
class Container:
    """A running container."""

    name: str
    state: Path
    process: subprocess.Popen[bytes]
    """runc, which passes signals on and exits as the program in the container does."""
    log_file: Path

    @property
    def log(self) -> str:
        """What the program has written so far."""
        return self.log_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The program's process, as seen from outside."""
        return int(json.loads(run("runc", "--root", self.state, "state", self.name))["pid"])

    def runs(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as its user."""
        whole = ("runc", "--root", str(self.state), "exec", self.name, *command)
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    def get(self, path: str) -> str | None:
        """Return what the exporter responses inside the container's own network; None unless that is 200."""
        curl = ("curl", "--silent", "--fail", "--max-time", "5", f"http://127.0.0.1:10059{path}")
        done = subprocess.run(
            ("nsenter", f"--target={self.pid}", "--net", *curl), capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else None

    def wait_until_ready(self) -> None:
        """Return once every portal has been polled."""
        wait_for(lambda: self.get("/-/ready"), "the exporter in the container ready")


@contextlib.contextmanager
def running(
    image: Image,
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    mounts: Mapping[str, Path] | None = None,
    host_network: bool = False,
) -> Iterator[Container]:
    """Run an image according to its Dockerfile: read-only, without capabilities, logging to `directory`."""
    bundle = directory / "bundle"
    bundle.mkdir(parents=True)
    run("runc", "spec", "--bundle", bundle)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"] |= _process(image.config, arguments, environment or {})
    spec["root"] = {"path": str(image.root), "readonly": True}
    spec["mounts"] += [_bind(target, source) for target, source in (mounts or {}).items()]
    if host_network:
        spec["linux"]["namespaces"].remove({"type": "network"})
    (bundle / "config.json").write_text(json.dumps(spec))
    name, state, log = f"docspace-exporter-{os.getpid()}-{id(spec)}", directory / "runc", directory / "log"
    command = ("runc", "--root", str(state), "run", "--bundle", str(bundle), name)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        container = Container(name, state, process, log)
        try:
            wait_for(
                lambda: "Listening" in container.log or process.poll() is not None, "the container started"
            )
            yield container
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                run("runc", "--root", state, "delete", "--force", name)


def _process(
    config: Mapping[str, Any], arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    user, group = config["User"].split(":")
    return {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": [*config["Entrypoint"], *arguments],
        "env": [*config["Env"], *(f"{name}={value}" for name, value in environment.items())],
        "cwd": config["WorkingDir"],
        "capabilities": {},
        "noNewPrivileges": True,
    }


def _bind(target: str, source: Path) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["bind", "ro"]}
