"""Digests of code: what a row depends on changes them, and nothing else does."""

from __future__ import annotations

import pytest

from benchmarks.table.sources import commit, source_digest

FILES = {
    "analysis/quant/grid.py": '"""Grid."""\n\n\ndef scale(x):\n    """Scale."""\n    return x\n',
    "analysis/capture/moments.c": "int one(void) { return 1; }\n",
    "analysis/models/load.py": "X = 1\n",
    "analysis/commands/info.py": "Y = 1\n",
    "analysis/methods/rtn.py": "from analysis.methods.shared import f\n",
    "analysis/methods/shared.py": "def f():\n    return 1\n",
    "analysis/methods/other.py": "Z = 1\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("analysis/quant/grid.py", "return x", "return 2 * x"),
        ("analysis/capture/moments.c", "return 1", "return 2"),
        ("analysis/models/load.py", "1", "2"),
        ("analysis/methods/rtn.py", "import f", "import f as g"),
        ("analysis/methods/shared.py", "return 1", "return 2"),
    ],
)
def test_a_change_of_code_changes_it(root, name, old, new):
    before = source_digest("rtn", root)
    (root / name).write_text(FILES[name].replace(old, new))
    assert source_digest("rtn", root) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("analysis/quant/grid.py", '"""Scale."""', '"""A scale, as it is."""'),
        ("analysis/quant/grid.py", "return x", "return x  # as it is"),
        ("analysis/methods/other.py", "1", "2"),
        ("analysis/commands/info.py", "1", "2"),
    ],
)
def test_words_and_other_methods_do_not(root, name, old, new):
    before = source_digest("rtn", root)
    (root / name).write_text(FILES[name].replace(old, new))
    assert source_digest("rtn", root) == before


def test_the_float_model_depends_on_no_quantizer(root):
    before = source_digest("float", root)
    (root / "analysis/quant/grid.py").write_text("nothing = 0\n")
    assert source_digest("float", root) == before
    (root / "analysis/models/load.py").write_text("X = 2\n")
    assert source_digest("float", root) != before


def test_this_repositorys_own_code_has_one():
    assert source_digest("rtn") == source_digest("rtn") != source_digest("float")


def test_a_folder_without_history_has_no_commit(tmp_path):
    assert commit(tmp_path).rstrip("+") == "unknown"
