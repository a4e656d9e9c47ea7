"""One call from work that is planned to what it will cost."""

from __future__ import annotations

from typing import Any

from analysis.cost.probes import Probes
from analysis.cost.quantizing import quantize_cost
from analysis.cost.record import Estimate
from analysis.cost.runs import calibrate_cost, capture_cost, compare_cost, sample_cost
from analysis.cost.sweeping import sweep_cost
from analysis.models.handle import ModelHandle
from analysis.progress import Progress
from analysis.registry import Registry

COSTS: Registry[Any] = Registry("kind of work")
for name, cost in {
    "sample": sample_cost,
    "capture": capture_cost,
    "calibrate": calibrate_cost,
    "quantize": quantize_cost,
    "compare": compare_cost,
    "sweep": sweep_cost,
}.items():
    COSTS.register(name)(cost)


def estimate(
    model: ModelHandle,
    work: str,
    probes: Probes | None = None,
    on_probe: Progress | None = None,
    **arguments: Any,
) -> Estimate:
    """How long work will take on this machine, and how much memory, before it is begun.

    A short probe times two steps of the run itself; how many there will be is counted. For
    methods that learn, a few iterations of every block are timed. The clock and the memory are
    this machine's at this moment: what else runs meanwhile is not foreseen.

    Args:
        work: sample, capture, calibrate, quantize, compare or sweep; `arguments` are those of
            the function of that name (of `sample`, those of a sampling run).
        probes: of this model, kept from an earlier estimate; `None` measures anew.
        on_probe: told how far the probes are.

    Raises:
        UserError: as the work itself would, for arguments that make no sense.
    """
    cost, probes = COSTS.get(work), probes or Probes(model)
    if on_probe is None:
        return cost(probes, **arguments)
    counted = probes.blank()
    cost(counted, **arguments)
    probes.expect(counted.ahead)
    probes.progress = on_probe
    try:
        return cost(probes, **arguments)
    finally:
        probes.progress = None  # it leads to whoever asked
