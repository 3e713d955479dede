"""Search for good hyperparameters with Ray Tune."""
