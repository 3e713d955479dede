"""How good, how sure, how fast and how large a model is."""
