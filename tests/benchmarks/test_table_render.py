"""The document: numbers, verdicts and gaps as the records have them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.table.render import Report, render
from benchmarks.table.rows import METHODS, Row, float_row, table_rows
from benchmarks.table.timing import phase_seconds

WHOLE = Row("q-diffusion", "W4A8")
WITHOUT = Row("q-diffusion", "W4A8", without=("split",))


@pytest.fixture
def document(settings, parts):
    def write(records, there=METHODS, failed=None) -> str:
        return render(Report(settings, table_rows(parts), records, there, failed or {}))

    return write


def lines_with(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_several_seeds_are_a_mean_and_a_spread(document, make_seeds):
    text = document(make_seeds(WHOLE, (20.0, 1.0), (21.0, 1.25), (22.0, 1.5)))
    (line,) = section(text, "Methods and plans").splitlines()[-1:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "W4A8",
        "q-diffusion",
        "3",
        "21.00 ± 1.00",
        "0.500 ± 0.000",
        "10.00 ± 0.00",
        "1.2500 ± 0.2500",
        "3.0",
        "2.00",
    ]


def test_the_head_names_what_made_it(document, make):
    text = document([make(WHOLE, 20.0, 1.0)])
    assert "python -m benchmarks table --model fashion --samples 8 --steps 2" in text
    assert "commit abc1234 " in text
    assert "N = 8 samples of 2 steps" in text
    assert "torch 2, diffusers 1, device cpu, 2 threads" in text


def test_rows_of_several_commits_name_them_all(document, make):
    other = replace(make(float_row(), None, 1.0), made={"commit": "def5678+"})
    assert "commit abc1234, def5678+ " in document([make(WHOLE, 20.0, 1.0), other])


def test_an_ablation_stands_beside_the_whole_method(document, make_seeds):
    whole = make_seeds(WHOLE, (20.0, 1.0), (20.5, 1.5), (20.0, 1.0))
    text = document([*whole, *make_seeds(WITHOUT, (18.0, 1.1))])
    (line,) = lines_with(section(text, "Ablations"), "without split")
    assert "18.00 (-2.00)" in line
    assert "1.1000 (+0.1000 ≈)" in line


def test_ablations_do_not_stand_among_the_methods(document, make):
    text = document([make(WHOLE, 20.0, 1.0), make(WITHOUT, 18.0, 1.0)])
    assert not lines_with(section(text, "Methods and plans"), "without")


def test_a_claim_prints_its_outcome_and_numbers(document, make_seeds, float_records):
    rescued = make_seeds(WHOLE, *[(25.0, 1.25)] * 3)
    rounded = make_seeds(Row("q-diffusion", "W4A8", without=("adaround",)), (20.0, 2.0))
    text = document([*float_records, *rescued, *rounded])
    assert "### 3. AdaRound and reconstruction rescue 4-bit weights: held, 3 not known yet" in text
    (line,) = lines_with(section(text, "Claims"), "without adaround", "| 75 % | held |")
    assert "+5.00 (± 0.00): better" in line


def test_a_claim_that_does_not_hold_says_so(document, make_seeds):
    worse = make_seeds(Row("eda-dm", "W4A8"), *[(19.0, 1.0)] * 3)
    text = document([*make_seeds(WHOLE, *[(20.0, 1.0)] * 3), *worse])
    (heading,) = lines_with(text, "### 4.")
    assert heading.endswith(": not held")


def test_nothing_measured_claims_nothing(document):
    text = document([])
    headings = lines_with(text, "### ")
    assert len(headings) == 4
    assert all(line.endswith(": not known yet") for line in headings)
    assert not lines_with(text, "| reached |")
    assert not lines_with(text, "| held |")


def test_what_is_missing_is_listed(document, make):
    records = [make(Row("rtn", "W4A8"), 20.0, 1.0)]
    failed = {Row("rtn", "W8A8"): "UserError: no room"}
    text = section(document(records, ("rtn",), failed), "Not in the table")
    assert "- eda-dm: not there yet" in text
    assert "- rtn_W8A8_fast_seed0: failed (UserError: no room)" in text
    (waiting,) = lines_with(text, "not run yet")
    assert "`rtn_W4A4_fast_seed0`" in waiting
    assert "`rtn_W8A8_fast_seed0`" not in waiting
    assert "`rtn_W4A8_fast_seed0`" not in waiting
    assert "eda-dm" not in waiting


def test_stale_rows_and_float_layers_are_marked(document, make):
    record = replace(make(WHOLE, 20.0, 1.0), stale=True, skipped={"conv_in": "it never ran"})
    text = document([record])
    assert lines_with(section(text, "Methods and plans"), "q-diffusion †")
    assert "† made by other code" in text
    assert "- q-diffusion left `conv_in` (partly) float: it never ran" in text
    assert "†" not in document([make(WHOLE, 20.0, 1.0)])


def test_a_shared_calibration_counts_once(make):
    records = [
        replace(make(replace(WHOLE, seed=i), calibrate=60.0, quantize=30.0), calibration=name)
        for i, name in enumerate(("a", "a", "b"))
    ]
    seconds = phase_seconds(records)
    assert (seconds["calibrate"], seconds["quantize"]) == (120.0, 90.0)


def test_the_time_stands_beside_its_limit(document, make):
    text = section(document([make(WHOLE, quantize=0.0, sample=7260.0)]), "Time")
    assert "rows took 121.0 min of the 120 min that the whole table may take: too long." in text


def test_rows_at_a_time_share_the_time(settings, parts, make):
    record = make(WHOLE, quantize=0.0, sample=7260.0)
    report = Report(settings, table_rows(parts), [record], jobs=2)
    text = section(render(report), "Time")
    assert "2 at a time and 121.0 min of work, took 60.5 min of the 120 min" in text
    assert "so far" in text
    assert "--jobs 2`" in render(report)
