"""Metrics of a live run for Prometheus; MLflow keeps them for good."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from workloads.environment import METRICS_PORT, PlatformEnvironment
from workloads.errors import WorkloadError

logger = logging.getLogger(__name__)

STEP = "mlplatform_training_step"
LOSS = "mlplatform_training_loss"
ACCURACY = "mlplatform_training_accuracy"
LEARNING_RATE = "mlplatform_training_learning_rate"
SAMPLES = "mlplatform_training_samples_total"
CHECKPOINT_TIME = "mlplatform_training_checkpoint_timestamp_seconds"
METRICS = {
    STEP: "Optimizer steps done.",
    LOSS: "The newest loss read of a step, over the first rank's share of its batch.",
    ACCURACY: "Newest validation accuracy, 0 to 1.",
    LEARNING_RATE: "The learning rate of that step.",
    SAMPLES: "Samples trained on, of all ranks.",
    CHECKPOINT_TIME: "When the newest checkpoint was whole, Unix time.",
}
"""Help texts of the metrics by name. Dashboards and alerts query the names; those that end in `_total` are counters."""
HIGHEST_PORT = 65535


class RunMetrics(Collector):
    """The newest numbers of one run, with the label `run`; a metric that was not set yet is omitted."""

    def __init__(self, run_name: str) -> None:
        self.run_name = run_name
        self._values: dict[str, float] = {}

    def set(self, values: dict[str, float]) -> None:
        """Set `values`, by the names of `METRICS`."""
        # Replaced as a whole: a concurrent request reads the old values.
        self._values = self._values | values

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics as prometheus_client expects of a collector."""
        values = self._values
        for name, text in METRICS.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=["run"])
            if name in values:
                family.add_metric([self.run_name], values[name])
            yield family


def metrics_port(environment: PlatformEnvironment) -> int | None:
    """Return the configured port, or None; raise WorkloadError for an invalid one."""
    given = environment.metrics_port
    if given is None:
        return None
    if not (given.isdecimal() and 1 <= int(given) <= HIGHEST_PORT):
        raise WorkloadError(f"{METRICS_PORT} is {given!r}; it must be a port, 1 to {HIGHEST_PORT}, or unset")
    return int(given)


@contextmanager
def served(metrics: RunMetrics, port: int | None) -> Iterator[None]:
    """Serve `metrics` at `port` of every interface within the context; a run whose port is taken continues without."""
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        logger.warning("run %s shows no metrics: port %d cannot be opened (%s)", metrics.run_name, port, error)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
