"""Per-layer, per-timestep statistics of activations, gathered while a model samples."""
