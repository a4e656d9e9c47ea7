"""The report: one file that needs nothing else, with the numbers of the comparison in it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import analysis
from analysis.plotly_js import PLOTLY_JS
from analysis.quant.model import LayerRow
from analysis.quant.phase import LossPoint
from analysis.report import build_report, figures
from analysis.report.build import signed_difference
from analysis.report.page import inlined

HOSTILE = '</script><img src=x onerror="alert(1)">&'


class Document(HTMLParser):
    """What a browser would fetch, draw and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.figures: list[dict] = []
        self.words: list[str] = []
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.sources += [found[name] for name in ("src", "href", "action") if name in found]
        self._script = found.get("type", "") if tag == "script" else None

    def handle_endtag(self, tag):
        self._script = None

    def handle_data(self, data):
        if self._script == "application/json":
            self.figures.append(json.loads(data))
        elif self._script is None:
            self.words.append(data.strip())


@pytest.fixture(scope="module")
def quantized(ddpm, ddpm_capture):
    return analysis.quantize(ddpm, plan="W4A8", calibration=ddpm_capture)


@pytest.fixture(scope="module")
def comparison(ddpm, quantized):
    return analysis.compare(ddpm, quantized, samples=2, steps=3)


@pytest.fixture(scope="module")
def document(quantized, comparison):
    return Document(build_report(quantized, comparison))


def test_nothing_is_fetched(document):
    assert document.sources
    assert all(source.startswith("data:image/png;base64,") for source in document.sources)
    assert not {"link", "iframe", "object"} & set(document.tags)


def test_plotly_is_inside(quantized, comparison):
    text = build_report(quantized, comparison)
    assert inlined(PLOTLY_JS.read_text()) in text
    assert text.count("default-src 'none'") == 1


def test_the_numbers_are_those_of_the_comparison(document, quantized, comparison):
    values = comparison.values
    assert f"{values['psnr_db']:.3g} " in " ".join(document.words) + " "
    way, layers = document.figures
    assert way["data"][0]["y"] == pytest.approx([100 * v for v in values["divergence"]])
    rows = [row for row in quantized.layers if row.sqnr_db is not None]
    assert layers["data"][0]["y"] == [row.sqnr_db for row in rows]
    for word in (quantized.model_digest, "torch", "softmax_bits", "W4A8", "N = 2"):
        assert any(word in text for text in document.words), word


def test_the_pictures_are_the_samples(document, comparison):
    shown = [
        np.asarray(Image.open(BytesIO(base64.b64decode(source.split(",")[1]))))
        for source in document.sources
    ]
    height, width = comparison.reference.shape[2:]
    first = np.moveaxis(comparison.reference[0], 0, -1)
    first = np.round(255 * first).astype(np.uint8)
    assert len(shown) == 3
    assert (shown[0][:height, :width].reshape(first.shape) == first).all()


def test_names_with_markup_stay_text(quantized, comparison):
    rows = (LayerRow(HOSTILE, 4, 8, 12.0), LayerRow("fine", 32, 32, None))
    losses = (LossPoint("rounding", HOSTILE, 0, 2, 2.0), LossPoint("rounding", HOSTILE, 2, 2, 1.0))
    text = build_report(
        replace(quantized, layers=rows, losses=losses, skipped={HOSTILE: HOSTILE}), comparison
    )
    document = Document(text)
    assert document.tags.count("img") == 3
    assert not re.search(r"<img src=x", text)
    assert any(word == HOSTILE for word in document.words)
    assert document.figures[2]["data"][0]["y"] == [1.0, 0.5]
    assert "<" not in document.figures[1]["data"][0]["text"][0]


def test_what_the_method_could_not_do_is_told(quantized, comparison, document):
    note = f"{HOSTILE} keeps its rounded start: in blocks its loss is not finite."
    told = Document(build_report(replace(quantized, notes=(note,)), comparison))
    assert note in told.words
    assert "What the method could not do" in told.words
    assert "What the method could not do" not in document.words


def test_infinite_and_missing_numbers_are_gaps(quantized):
    rows = [LayerRow("a", 4, 8, np.inf), LayerRow("b", 4, 8, None), LayerRow("c", 4, 8, 3.0)]
    assert figures.layers(rows)["data"][0]["y"] == [3.0]
    parts = {"divergence": [0.1, float("nan")], "fresh": [0.1, 0.05], "inherited": [0.0, 0.08]}
    drawn = figures.divergence(parts)
    assert [trace["y"] for trace in drawn["data"]] == [[10.0, None], [0.0, 8.0], [10.0, 5.0]]


def test_differences_are_white_where_equal_and_coloured_by_sign():
    reference = np.full((1, 1, 1, 3), 0.5)
    candidate = np.array([[[[0.5, 1.0, 0.0]]]])
    equal, brighter, darker = signed_difference(reference, candidate, 4)[0, :, 0].T
    assert equal.tolist() == [1, 1, 1]
    assert brighter[0] > brighter[2]
    assert darker[2] > darker[0]


def test_the_command_writes_one_file(cli, quantized, tmp_path):
    analysis.save_quantized(quantized, tmp_path / "run")
    status, out, err = cli(
        "export", "--quantized", tmp_path / "run", "--format", "report", "--samples", 1,
        "--steps", 2, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    (path,) = json.loads(out)["files"]
    assert path == str(tmp_path / "out" / "report.html")
    assert json.loads(out)["bytes"] == (tmp_path / "out" / "report.html").stat().st_size
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["arguments"]["samples"] == 1
    status, _, err = cli(
        "export", "--quantized", tmp_path / "run", "--format", "report", "--samples", 0
    )
    assert status == 2
    assert err.startswith("error: ")
