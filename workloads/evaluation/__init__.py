"""Accuracy, calibration, latency and size of a model."""
