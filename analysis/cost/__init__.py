"""What work will cost before it is begun: seconds and bytes, from a short probe."""

from analysis.cost.estimate import COSTS, estimate
from analysis.cost.probes import Probes
from analysis.cost.record import Estimate, check_fits

__all__ = ["COSTS", "Estimate", "Probes", "check_fits", "estimate"]
