"""Metrics of the platform's exporters, and the alerts and dashboards that query them.

An alert on a metric that nobody emits is never raised, and a panel on one is empty. So everything that queries is held
to `EXPORTED_METRICS` by its tests; a new metric enters there, with the exporter that really has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.identity.iam import Allow, Condition

_HERE = Path(__file__).resolve().parent
ALERTS = _HERE / "alerts"
DASHBOARDS = _HERE / "dashboards"

DCGM_FIELDS: dict[str, tuple[str, str]] = {
    "DCGM_FI_DEV_GPU_UTIL": ("gauge", "GPU utilization (in %)."),
    "DCGM_FI_DEV_FB_USED": ("gauge", "Framebuffer memory used (in MiB)."),
    "DCGM_FI_DEV_FB_FREE": ("gauge", "Framebuffer memory free (in MiB)."),
    "DCGM_FI_DEV_GPU_TEMP": ("gauge", "GPU temperature (in C)."),
    "DCGM_FI_DEV_POWER_USAGE": ("gauge", "Power draw (in W)."),
    "DCGM_FI_DEV_XID_ERRORS": ("gauge", "Value of the last XID error encountered."),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("counter", "Total number of double-bit volatile ECC errors."),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": ("gauge", "Whether remapping of rows has failed"),
}
"""Fields that dcgm-exporter reads, with Prometheus' type and a help text; the profiling fields would need SYS_ADMIN."""

TRAINING_METRICS: dict[str, str] = {
    "mlplatform_training_step": "gauge: optimizer steps done",
    "mlplatform_training_loss": "gauge: the step's loss, NaN and infinity as they are",
    "mlplatform_training_accuracy": "gauge: newest validation accuracy, 0 to 1",
    "mlplatform_training_learning_rate": "gauge: the step's learning rate",
    "mlplatform_training_samples_total": "counter: samples trained on, of all ranks",
    "mlplatform_training_checkpoint_timestamp_seconds": "gauge: when the newest checkpoint was whole, Unix time",
}
"""Metrics of training: from global rank 0, with the label `run`, on the container port named `TRAINING_PORT_NAME`."""
TRAINING_PORT_NAME = "train-metrics"
RUNS_MONITOR = "training-runs"
"""Name of the monitor of those ports, which Prometheus makes the end of its targets' label `job`."""

EXPORTED_METRICS: dict[str, frozenset[str]] = {
    "dcgm-exporter": frozenset(DCGM_FIELDS),
    "training": frozenset(TRAINING_METRICS),
    "rules of our own": frozenset({"mlplatform:instance_price:usd_per_hour", "mlplatform:node_cost:usd_per_hour"}),
    # https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics; node labels by the release's values.
    "kube-state-metrics": frozenset(
        {
            "kube_deployment_spec_replicas",
            "kube_deployment_status_replicas_available",
            "kube_job_failed",
            "kube_node_labels",
            "kube_node_status_allocatable",
            "kube_node_status_condition",
            "kube_pod_container_resource_requests",
            "kube_pod_container_status_restarts_total",
            "kube_pod_status_phase",
        }
    ),
    "node-exporter": frozenset(
        {
            "node_cpu_seconds_total",
            "node_filesystem_avail_bytes",
            "node_filesystem_size_bytes",
            "node_memory_MemAvailable_bytes",
            "node_memory_MemTotal_bytes",
        }
    ),
    "kubelet": frozenset({"kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}),
    "Prometheus": frozenset({"ALERTS", "up"}),
    "cluster autoscaler": frozenset(
        {
            "cluster_autoscaler_scaled_down_nodes_total",
            "cluster_autoscaler_unschedulable_pods_count",
        }
    ),
    "KubeRay operator": frozenset(
        {
            "kuberay_cluster_condition_provisioned",
            "kuberay_cluster_provisioned_duration_seconds",
            "kuberay_job_deployment_status",
            "kuberay_job_execution_duration_seconds",
        }
    ),
    "Ray": frozenset(
        {
            "ray_actors",
            "ray_node_cpu_utilization",
            "ray_node_gpus_utilization",
            "ray_node_mem_total",
            "ray_node_mem_used",
            "ray_object_store_memory",
            "ray_tasks",
        }
    ),
    # Of `mlflow server --expose-prometheus`, which needs prometheus-flask-exporter.
    "MLflow": frozenset({"mlflow_http_request_duration_seconds_bucket", "mlflow_http_request_total"}),
    # As the chart's own statsd mappings name them; timers become summaries in seconds, so they have a `_count`.
    "Airflow's statsd exporter": frozenset(
        {
            "airflow_dag_processing_import_errors",
            "airflow_dag_processing_total_parse_time",
            "airflow_dagrun_duration",
            "airflow_dagrun_failed_count",
            "airflow_dagrun_schedule_delay",
            "airflow_executor_queued_tasks",
            "airflow_executor_running_tasks",
            "airflow_scheduler_heartbeat",
            "airflow_ti_failures",
            "airflow_ti_successes",
        }
    ),
}

CLOUDWATCH_METRICS: dict[str, frozenset[str]] = {
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html and, for load,
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Cloudwatch.html
    "AWS/RDS": frozenset(
        {
            "CPUCreditBalance",  # of the T classes alone
            "CPUUtilization",
            "DBLoadCPU",
            "DBLoadNonCPU",
            "DatabaseConnections",
            "FreeStorageSpace",
            "FreeableMemory",
            "ReadIOPS",
            "ReadLatency",
            "SwapUsage",
            "TransactionLogsDiskUsage",
            "WriteIOPS",
            "WriteLatency",
        }
    ),
}
"""CloudWatch metrics of AWS's own services that Grafana queries, by namespace."""


def alert_files() -> dict[str, dict[str, Any]]:
    """Return every file of rules by its name, in the form that both Prometheus and a PrometheusRule's `spec` take."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(ALERTS.glob("*.yaml"))}


def alerts() -> list[dict[str, Any]]:
    """Return every alert of those files; a name may occur twice, with two severities."""
    rules = [rule for file in alert_files().values() for group in file["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule]


def dashboards(constants: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return every dashboard by its file's name; `constants` are values of its variables of that type, by name."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}
    if constants is not None:
        for variable in (one for dashboard in found.values() for one in dashboard["templating"]["list"]):
            if variable["type"] == "constant":
                variable["query"] = constants[variable["name"]]
    return found


def dcgm_fields() -> str:
    """Return dcgm-exporter's list of fields, in its own format."""
    return "".join(f"{field}, {kind}, {text}\n" for field, (kind, text) in DCGM_FIELDS.items())


def cloudwatch_access(region: str) -> tuple[Allow, ...]:
    """Return what lets Grafana show CloudWatch's metrics of a region.

    They belong to no resource that a policy could name
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html).
    """
    here = Condition(operator="StringEquals", key="aws:RequestedRegion", values=(region,))
    return (
        Allow(actions=("cloudwatch:GetMetricData", "cloudwatch:ListMetrics"), resources=("*",), conditions=(here,)),
    )
