"""Time and memory over samples, steps, layers and width; makes docs/scaling.md."""
