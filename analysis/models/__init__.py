"""Loading a model, finding its layers and shortcuts, and sampling from it."""
