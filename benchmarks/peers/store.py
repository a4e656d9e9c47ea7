"""What was found of a peer's job, on disk: one JSON file each, failures among them.

All that a document shows stands in one more file beside it, so that it can be made anew, or a row
be added, where the runs themselves are gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis.atomic import write_whole
from analysis.console import plain
from benchmarks.peers.peer import Peer
from benchmarks.peers.settings import Settings

HERE = Path(__file__).parent
SHARED = ("peer.py", "worker.py", "start.py", "requirements/common.txt")


@dataclass(frozen=True)
class Found:
    """The outcome of one job: values, or the error that ended it."""

    peer: str
    job: str
    values: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)  # commit, versions, threads
    error: str = ""


def write_found(folder: Path, found: Found, settings: Settings, source: str) -> None:
    """Keep an outcome; `UserError` where that cannot be done."""
    content = plain(asdict(found) | {"settings": asdict(settings), "source": source})
    write_whole(_path(folder, found.peer, found.job), json.dumps(content, indent=1).encode())


def read_found(folder: Path, peer: str, job: str, settings: Settings, source: str) -> Found | None:
    """The outcome under these settings by this code, if there is one."""
    try:
        content = json.loads(_path(folder, peer, job).read_bytes())
        same = content.pop("settings") == asdict(settings) and content.pop("source") == source
        return Found(**content) if same else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_all(
    path: Path, found: Sequence[Found], settings: Settings, sources: Mapping[str, str]
) -> None:
    """Keep all outcomes of a document in one file; `sources` by the peer's name."""
    rows = [asdict(one) | {"source": sources[one.peer]} for one in found]
    content = plain({"settings": asdict(settings), "outcomes": rows})
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def read_all(
    path: Path, settings: Settings, sources: Mapping[str, str]
) -> dict[tuple[str, str], Found]:
    """Outcomes by peer and job, those under these settings by this code."""
    try:
        content = json.loads(path.read_bytes())
        if content["settings"] != asdict(settings):
            return {}
        rows = [row for row in content["outcomes"] if row.pop("source") == sources[row["peer"]]]
        found = [Found(**row) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {(one.peer, one.job): one for one in found}


def source_of(peer: Peer) -> str:
    """A digest of the code and requirements behind a peer's outcomes."""
    import inspect

    files = [HERE / name for name in SHARED] + [Path(inspect.getfile(type(peer)))]
    if peer.requirements is not None:
        files.append(peer.requirements)
    sha = hashlib.sha256()
    for path in files:
        sha.update(path.read_bytes())
    if not peer.environment and not peer.package:
        from benchmarks.table.sources import source_digest

        sha.update(source_digest("rtn").encode())
    return sha.hexdigest()


def _path(folder: Path, peer: str, job: str) -> Path:
    return folder / f"{peer}.{job}.json"
