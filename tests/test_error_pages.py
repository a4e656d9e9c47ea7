"""The pages about errors: every module that raises one is covered, every quote is real."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "errors"
GAP = "…"


def sentences(source: str) -> list[str]:
    """What every `UserError(...)` and `check_whole(...)` of a file says, `…` for what changes."""
    return [text for node in ast.walk(ast.parse(source)) if (text := said(node)) is not None]


def said(node: ast.AST) -> str | None:
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) and node.args else ""
    if name == "UserError":
        return words(node.args[0])
    if name == "check_whole" and len(node.args) < 4:  # the page's own has four
        what, least = words(node.args[0]), words(node.args[2]) if len(node.args) > 2 else "1"
        return f"{what} must be a whole number of {least} or more; got {GAP}."
    return None


def words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) for part in node.values)
    return GAP


def quotes(page: Path) -> list[str]:
    """The sentences that a page quotes: lines that begin with `> `."""
    return [line[2:].strip() for line in page.read_text().splitlines() if line.startswith("> ")]


def says(quote: str, sentence: str) -> bool:
    """Whether the fixed words of a quote stand in a sentence, in order."""
    parts = [re.escape(part.strip()) for part in quote.split(GAP) if part.strip(" .;,()")]
    return bool(parts) and re.search(".*".join(parts), sentence) is not None


def covered() -> set[str]:
    """Modules that the index names, relative to `analysis/`."""
    return set(re.findall(r"`([\w/]+\.py)`", (PAGES / "README.md").read_text()))


RAISING = {
    path.relative_to(ROOT / "analysis").as_posix(): sentences(path.read_text())
    for path in sorted((ROOT / "analysis").rglob("*.py"))
    if sentences(path.read_text())
}
ALL = [s for said in RAISING.values() for s in said] + [
    s for path in sorted((ROOT / "workbench").rglob("*.py")) for s in sentences(path.read_text())
]
TOPICS = sorted(path for path in PAGES.glob("*.md") if path.name != "README.md")


@pytest.mark.parametrize("module", list(RAISING))
def test_every_module_that_raises_one_has_a_page(module):
    assert module in covered(), f"add {module} to a row of docs/errors/README.md"


def test_the_index_names_no_module_that_is_gone():
    assert covered() <= set(RAISING)


def test_the_index_links_every_page():
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (PAGES / "README.md").read_text()))
    assert linked == {page.name for page in TOPICS}


@pytest.mark.parametrize("page", TOPICS, ids=lambda page: page.stem)
def test_a_page_says_what_why_and_what_to_do(page):
    text = page.read_text()
    assert text.startswith("# ")
    assert quotes(page)
    for heading in ("**Means.**", "**Why.**", "**Do.**"):
        assert text.count(heading) == 1


@pytest.mark.parametrize("page", TOPICS, ids=lambda page: page.stem)
def test_every_quoted_sentence_is_raised_somewhere(page):
    stale = [quote for quote in quotes(page) if not any(says(quote, s) for s in ALL)]
    assert not stale


def test_these_checks_can_fail():
    source = 'raise UserError(f"no {x} here; take " "another.")\nraise ValueError("other")\n'
    assert sentences(source) == ["no … here; take another."]
    checks = 'check_whole("steps", n)\ncheck_whole("bins", n, LEAST)\n'
    assert sentences(checks) == [
        "steps must be a whole number of 1 or more; got ….",
        "bins must be a whole number of … or more; got ….",
    ]
    assert says("no … here; take another.", "no … here; take another.")
    assert not says("no … there; take another.", "no … here; take another.")
    assert not says("…", "anything")
    assert not says("take … here", "no … here; take another.")
