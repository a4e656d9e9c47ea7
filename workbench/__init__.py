"""The page: draws what `analysis` finds, and passes a visitor's wishes on to it."""
