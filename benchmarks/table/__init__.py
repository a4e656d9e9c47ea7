"""`make table`: every method at every plan on the bundled model, written to docs/results.md."""
