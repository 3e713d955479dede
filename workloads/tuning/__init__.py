"""Search for good hyperparameters, on Ray or in processes of one machine."""
