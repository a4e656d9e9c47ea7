"""All peers, in the order of the document."""

from __future__ import annotations

from benchmarks.peers.aimet import Aimet, AimetEnhanced
from benchmarks.peers.modelopt import ModelOpt
from benchmarks.peers.nncf import Nncf
from benchmarks.peers.ours import Ours, OursByDefault, OursSplit
from benchmarks.peers.peer import Peer
from benchmarks.peers.quanto import Quanto, QuantoMax
from benchmarks.peers.torch_ao import TorchAoHistogram, TorchAoMinMax
from benchmarks.peers.torchao import TorchAo

PEERS: tuple[Peer, ...] = (
    Ours(),
    OursByDefault(),
    OursSplit(),
    TorchAoMinMax(),
    TorchAoHistogram(),
    Aimet(),
    AimetEnhanced(),
    ModelOpt(),
    Quanto(),
    QuantoMax(),
    TorchAo(),
    Nncf(),
)
