"""Blocks that have finished learning, kept for a visitor until the model is whole.

They lie in a temporary folder that goes when the visitor's session does.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.recipe import overrides_of
from workbench.session import Session

MOST = 2  # settings whose blocks are kept


def settings_key(session: Session, seed: int = 0) -> str:
    """Names all that decides what a block learns."""
    s, drawn = session.selection, set_to_use(session)
    settings = [s.method, s.preset, s.without, s.options, s.plan, overrides_of(session), seed]
    model = getattr(session.opened, "model_name", session.model_name)
    what = [model, *settings, None if drawn is None else id(drawn)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def set_to_use(session: Session) -> Any:
    """The calibration set drawn in Calibration, if the visitor wants it for the next Apply."""
    wanted = session.drawn.get("calibrate_on", "set") == "set"
    return session.calibration if wanted else None


def folder_of(session: Session, key: str) -> Path:
    """Where the blocks of these settings are kept; those of older settings go."""
    if session.kept is None:
        session.kept = TemporaryDirectory(prefix="workbench-blocks-", ignore_cleanup_errors=True)
    home = Path(session.kept.name)
    wanted = home / key
    others = [path for path in home.iterdir() if path != wanted]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - MOST or None]:
        shutil.rmtree(path, ignore_errors=True)
    wanted.mkdir(exist_ok=True)
    return wanted


def kept_blocks(session: Session, key: str) -> int:
    """How many blocks are kept for these settings."""
    if session.kept is None:
        return 0
    return len(list((Path(session.kept.name) / key).glob("*.safetensors")))


def forget(session: Session, key: str) -> None:
    """Give the room back, once the model is whole."""
    if session.kept is not None:
        shutil.rmtree(Path(session.kept.name) / key, ignore_errors=True)
