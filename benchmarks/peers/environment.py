"""A virtual environment for every peer, made on first use; pip itself says why one cannot be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import REQUIREMENTS, Peer

FREE_GB = 5.0
# Wheels of CUDA, by name; nvidia-ml-py is a few kilobytes of Python.
CUDA = re.compile(r"nvidia-(?!ml-py|modelopt).*|cuda-.*|triton|.*-cu\d\d")
NAMED = re.compile(r"ERROR:|[A-Za-z_][\w.]*(Error|Exception|Interrupt|UnsupportedError)(:|$)")
OWN = re.compile(r"^(ERROR|[\w.]*\.UnsupportedError): ")
Command = Callable[[Sequence[str], float], "Done"]


class InstallError(Exception):
    """Why a peer cannot be installed here, in one line."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


def run_command(command: Sequence[str], limit_s: float) -> Done:
    """Run a command; raises subprocess.TimeoutExpired after `limit_s`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    return Done(done.returncode, done.stdout, done.stderr)


def environment(peer: Peer, home: Path, limit_s: float = 1800, run: Command = run_command) -> Path:
    """The Python of a peer's environment below `home`; this one's where the peer needs none.

    The common requirements come first, torch's exact build before all. Then pip is asked, without
    installing anything, what the peer would bring along.

    Raises:
        InstallError: when pip finds no set of versions, when CUDA's wheels or another torch
            would come, when the disk is nearly full or time is up.
    """
    wanted = peer.requirements
    if wanted is None:
        return Path(sys.executable)
    folder = home / peer.environment
    python, stamp = folder / "bin" / "python", folder / "made-from.txt"
    content = wanted.read_text() + (REQUIREMENTS / "common.txt").read_text()
    if stamp.is_file() and stamp.read_text() == content:
        return python
    try:
        _make(folder, python, wanted, limit_s, run)
    except subprocess.TimeoutExpired as late:
        raise InstallError(f"pip took longer than {late.timeout:.0f} s") from late
    stamp.write_text(content)
    return python


def _make(folder: Path, python: Path, wanted: Path, limit_s: float, run: Command) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_GB:
        raise InstallError(f"{free:.1f} GB of disk are free, {FREE_GB:.0f} are needed")

    def step(*command: str) -> Done:
        done = run(command, limit_s)
        if done.status:
            raise InstallError(last_error(done.err or done.out))
        return done

    pip = (str(python), "-m", "pip", "--disable-pip-version-check")
    common = REQUIREMENTS / "common.txt"
    step(sys.executable, "-m", "venv", str(folder))
    step(*pip, "install", "--quiet", pinned_torch(common.read_text()))
    step(*pip, "install", "--quiet", "-r", str(common))
    asked = step(*pip, "install", "--dry-run", "--quiet", "--report", "-", "-r", str(wanted))
    refuse(json.loads(asked.out))
    step(*pip, "install", "--quiet", "-r", str(wanted))


def pinned_torch(requirements: str) -> str:
    """The line of requirements that pins torch."""
    return next(line for line in requirements.splitlines() if line.startswith("torch=="))


def refuse(report: Mapping[str, Any]) -> None:
    """Raise `InstallError` if pip's report of a dry run has another torch, or CUDA's wheels."""
    coming = {
        item["metadata"]["name"].lower(): item["metadata"]["version"] for item in report["install"]
    }
    if "torch" in coming:
        raise InstallError(f"it would bring torch {coming['torch']} in place of the pinned one")
    cuda = sorted(name for name in coming if CUDA.fullmatch(name))
    if cuda:
        raise InstallError(f"it would bring CUDA's wheels: {', '.join(cuda)}")


def last_error(text: str) -> str:
    """The line that says what went wrong: the last that names an error, else the last."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if NAMED.match(line)]
    return OWN.sub("", (errors or lines or ["no word of an error"])[-1].strip())
