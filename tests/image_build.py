"""Images without a Docker daemon: a base by debootstrap, a build by buildah, a run by podman and runc. Needs root."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.serve_process import ROOT

BASE, SERVICE, RELEASE = "localhost/textgate-base", "localhost/textgate-serve", "localhost/textgate-release"
PATIENCE_SECONDS = 60  # on a busy machine


class Images:
    """A store of images and containers of its own in a folder."""

    def __init__(self, folder):
        """Take an empty folder."""
        self.folder = folder
        self._store = [f"--root={folder}/store", f"--runroot={folder}/run"]

    def podman(self, *arguments, check=True, **options):
        """Run podman and return (exit code, standard output, standard error)."""
        command = ["podman", *self._store, "--runtime=runc", "--cgroup-manager=cgroupfs", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
        assert done.returncode == 0 or not check, done.stderr
        return done.returncode, done.stdout, done.stderr

    def base(self):
        """Debian 12 with Python 3.11 and pip, as BASE."""
        tree = self.folder / "base"
        wanted = "--include=python3,python3-pip"
        _run(["debootstrap", "--variant=minbase", wanted, "bookworm", tree, *_mirror()])
        packed = subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
        self.podman("import", "-", BASE, stdin=packed.stdout)
        assert packed.wait() == 0

    def wheelhouse(self):
        """Fetch what requirements-serve.txt names, as pip here is set up; inside of the build there is no index."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        lock, wheels = ROOT / "requirements-serve.txt", self.folder / "wheels"
        _run([*command, "--require-hashes", "-r", lock, "-d", wheels])
        (self.folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")

    def build(self, dockerfile, context, tag, **arguments):
        """Build as `docker build` does."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        mounted = [f"--volume={self.folder}/wheels:/wheels:ro", f"--volume={self.folder}/pip.conf:/etc/pip.conf:ro"]
        ignored = [f"--ignorefile={ROOT}/.dockerignore"] if Path(context) == ROOT else []
        how = ["--format=docker", "--isolation=chroot", "--network=host", "--pull-never", *ignored]
        _run(["buildah", *self._store, "bud", *how, *mounted, *given, "-f", dockerfile, "-t", tag, context])

    def megabytes(self, image):
        """Return the size of an image, its base included, in units of 10^6 bytes."""
        return json.loads(self.podman("inspect", image)[1])[0]["Size"] / 1e6

    def run(self, name, image, *command, mounts=(), options=()):
        """Start a container as compose.yaml and Kubernetes do: nothing may be written, no privilege, no network."""
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        locked = ["--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none"]
        volumes = [f"--volume={mount}" for mount in mounts]
        locked += ["--security-opt=no-new-privileges", *volumes, *limits, *options]
        return self.podman("run", f"--name={name}", *locked, image, *command, check=False)


class Container:
    """The service in a container of its own network; it is asked from inside of that network."""

    def __init__(self, images, name, image, mounts):
        """Start it."""
        self.images, self.name = images, name
        assert images.run(name, image, mounts=mounts, options=["--detach"])[0] == 0
        self.pid = int(images.podman("inspect", name, "--format={{.State.Pid}}")[1])
        self._inside = ["nsenter", f"--target={self.pid}", "--net"]

    def ask(self, path, body=None):
        """Return (status, body), status 0 if nobody answers."""
        data = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        command = [*self._inside, "curl", "-s", "-w", "\n%{http_code}", *data, f"http://127.0.0.1:8000{path}"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
        answer, _, status = said.rpartition("\n")
        return int(status or 0), answer

    def wait_until_ready(self):
        """Wait for /ready."""
        self._until(lambda: self.ask("/ready")[0] == 200)

    def wait_for(self, words):
        """Wait until the log says something."""
        self._until(lambda: words in self.log())

    def _until(self, true):
        """Wait; what takes too long is an error that shows the log."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def client(self, program):
        """Start a Python program inside of the container's network."""
        command = [*self._inside, sys.executable, "-c", program]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def log(self):
        """Return what the container wrote so far."""
        _, out, err = self.images.podman("logs", self.name)
        return out + err


def _mirror():
    """Return the mirror that apt here uses for Debian 12; nothing if it has none, as debootstrap knows one itself."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[0] for line in found if line.endswith(" bookworm")][:1]


def _run(command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
