"""All jobs of all peers, one after the other, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch

from analysis.metrics import frechet_to_data, psnr, ssim
from benchmarks.peers.environment import InstallError, environment, last_error
from benchmarks.peers.peer import Peer
from benchmarks.peers.settings import JOBS, OURS, PLAIN, PLANS, Settings
from benchmarks.peers.store import Found, read_found, source_of, write_found
from benchmarks.table.sources import commit

INSTALL = "install"
Place = Callable[[Peer, Path, float], Path]


@dataclass(frozen=True)
class Bench:
    """Where everything goes, what was asked for, and the seconds that one job may take."""

    runs: Path
    settings: Settings
    limit_s: float
    place: Place = environment

    @property
    def folder(self) -> Path:
        """Of the outcomes under these settings; environments serve all settings."""
        return self.runs / self.settings.slug


def run_peers(bench: Bench, peers: Iterable[Peer], again: Iterable[str] = ()) -> None:
    """Run what is not there, in order; the peers named in `again` run anew."""
    bench.folder.mkdir(parents=True, exist_ok=True)
    for peer in peers:
        for job in jobs_of(peer):
            found = read_found(bench.folder, peer.name, job, bench.settings, source_of(peer))
            if found is not None and peer.name not in again:
                continue
            found = one_job(bench, peer, job)
            write_found(bench.folder, found, bench.settings, source_of(peer))
            say(f"{peer.name} {job}: {found.error or 'done'}")
            if job == INSTALL and found.error:
                break


def ensure_reference(bench: Bench, peers: Iterable[Peer]) -> None:
    """Draw the float model's pictures where they are missing: all others are held against them."""
    bench.folder.mkdir(parents=True, exist_ok=True)
    if not pictures_path(bench.folder, OURS, PLAIN).is_file():
        ours = next(peer for peer in peers if peer.name == OURS)
        write_found(bench.folder, one_job(bench, ours, PLAIN), bench.settings, source_of(ours))


def outcomes(bench: Bench, peers: Iterable[Peer]) -> dict[tuple[str, str], Found]:
    """What was run here of these peers, by peer and job, with the pictures measured."""
    return {
        (peer.name, job): measured(bench, found)
        for peer in peers
        for job in jobs_of(peer)
        if (found := read_found(bench.folder, peer.name, job, bench.settings, source_of(peer)))
    }


def jobs_of(peer: Peer) -> tuple[str, ...]:
    """Every job of a peer, in order."""
    first = (INSTALL,) if peer.requirements is not None else ()
    last = (PLAIN,) if peer.name == OURS else ()
    return (*first, *(PLANS if peer.same_collecting else JOBS), *last)


def one_job(bench: Bench, peer: Peer, job: str) -> Found:
    """The outcome of a job: whatever goes wrong in it is part of that."""
    made = {"commit": commit()}
    try:
        python = bench.place(peer, bench.runs / "environments", bench.limit_s)
        if job == INSTALL:
            return Found(peer.name, job, made=made)
        pictures = pictures_path(bench.folder, peer.name, job)
        answer = _work(bench, python, peer, job, pictures)
    except (InstallError, _JobError) as error:
        return Found(peer.name, job, made=made, error=str(error))
    return Found(peer.name, job, answer["values"], made | answer["made"])


def pictures_path(folder: Path, peer: str, job: str) -> Path:
    """The file of the pictures of a job."""
    return folder / f"{peer}.{job}.safetensors"


def measured(bench: Bench, found: Found) -> Found:
    """The outcome with PSNR and SSIM to the float model's pictures and the Frechet distance.

    Done in this process for all alike, from the files.
    """
    if found.error or found.job not in (*PLANS, PLAIN):
        return found
    pictures = _pictures(pictures_path(bench.folder, found.peer, found.job))
    reference = _pictures(pictures_path(bench.folder, OURS, PLAIN))
    if pictures is None:
        return found
    values: dict[str, Any] = {"frechet": frechet_to_data(pictures)}
    if reference is not None and found.job != PLAIN:
        values |= {"psnr_db": psnr(reference, pictures), "ssim": ssim(reference, pictures)}
    return replace(found, values={**found.values, **values})


def say(text: str) -> None:
    """One line on stderr."""
    print(f"peers: {text}", file=sys.stderr, flush=True)


class _JobError(Exception):
    """Why a job ended without an answer."""


def _work(bench: Bench, python: Path, peer: Peer, job: str, pictures: Path) -> dict[str, Any]:
    """What the job printed last."""
    settings = json.dumps(asdict(bench.settings))
    command = [str(python), "-m", "benchmarks.peers.start", peer.name, job, settings, str(pictures)]
    log = bench.folder / f"{peer.name}.{job}.log"
    with log.open("w") as err:
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                timeout=bench.limit_s,
                env=_variables(python),
            )
        except subprocess.TimeoutExpired:
            raise _JobError(f"stopped after {bench.limit_s / 60:.3g} minutes") from None
    if done.returncode:
        raise _JobError(last_error(log.read_text()) if log.stat().st_size else done.stdout)
    return json.loads(done.stdout.splitlines()[-1])


def _variables(python: Path) -> dict[str, str]:
    """The environment's own tools first; kernels that a library compiles stay in there."""
    return os.environ | {
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),
        "TORCH_EXTENSIONS_DIR": str(python.parent.parent / "extensions"),
        "NNCF_EXTENSION_LOAD_TIMEOUT": "0",  # it gives up on slow machines otherwise
    }


def _pictures(path: Path) -> Any:
    return safetensors.torch.load_file(path)["pictures"] if path.is_file() else None
