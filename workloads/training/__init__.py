"""Training: one loop, the same in one process and in every rank of a distributed run."""
