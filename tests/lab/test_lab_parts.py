"""One progress for several parts."""

from __future__ import annotations

from analysis.lab.parts import in_parts


def test_parts_tell_one_progress_by_their_costs():
    seen = []
    first, second = in_parts(lambda *told: seen.append(told), (1, 3))
    first(1, 2, "a")
    first(2, 2, "b")
    second(1, 3, "c")
    second(3, 3, "d")
    assert seen == [(125, 1000, "a"), (250, 1000, "b"), (500, 1000, "c"), (1000, 1000, "d")]


def test_it_never_goes_back():
    seen = []
    first, second = in_parts(lambda done, total, text: seen.append(done), (1, 1))
    for part, done in ((first, 4), (first, 1), (second, 2), (first, 0), (second, 9)):
        part(done, 4, "")
    assert seen == [500, 500, 750, 750, 1000]


def test_nobody_need_listen():
    (only,) = in_parts(None, (0,))
    only(1, 0, "")
