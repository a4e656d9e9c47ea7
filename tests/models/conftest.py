"""Copies of tiny pipelines to be damaged, and the sentence with which they are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from analysis.errors import UserError
from analysis.models.load import load_model


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of a tiny pipeline's folder."""

    def copied(family: str) -> Path:
        return Path(shutil.copytree(folders(family), tmp_path / family))

    return copied


@pytest.fixture
def edit_weights():
    """Change the tensors of a safetensors file."""

    def edit(path: Path, change) -> None:
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return edit


@pytest.fixture
def edit_json():
    """Change entries of a JSON file."""

    def edit(path: Path, **changes) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


@pytest.fixture
def refusal():
    """The sentence with which loading a model is refused: one line, ended properly."""

    def refused(name) -> str:
        with pytest.raises(UserError) as error:
            load_model(name, "cpu")
        sentence = str(error.value)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert 20 < len(sentence) < 500
        return sentence

    return refused
