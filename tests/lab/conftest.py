"""A landscape, a drawn set and held-out samples of the tiny DDPM, three steps each."""

from __future__ import annotations

import pytest

STEPS = 3


@pytest.fixture(scope="session")
def land(ddpm):
    from analysis.lab.draw import landscape

    return landscape(ddpm, STEPS)


@pytest.fixture(scope="session")
def drawn(ddpm, land):
    from analysis.lab.draw import draw_set

    return draw_set(ddpm, land, "timestep-uniform", 6, seed=1)


@pytest.fixture(scope="session")
def held(ddpm):
    from analysis.lab.effect import hold_out

    return hold_out(ddpm, STEPS, runs=2)
