"""Monitoring: metrics, dashboards, alerts, and the agents on the nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apiextensions import CustomResource

from infra import helm
from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer
from infra.cluster.ready import ClusterReady
from infra.data.external_secret import ExternalSecret, ExternalSecretArgs
from infra.data.secrets import StoredSecret, StoredSecretArgs, generated_password
from infra.environment import Environment
from infra.facts import charts
from infra.identity.identity import ServiceAccount
from infra.naming import database_name
from infra.network.ingress import Backend
from infra.services import metrics
from infra.services.alert_routing import alertmanager_config
from infra.services.monitoring_values import dcgm_values, stack_values
from infra.settings.service_settings import MonitoringSettings

NAMESPACE = "monitoring"
AGENTS_NAMESPACE = "node-monitoring"
ALERTMANAGER_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="alertmanager")
GRAFANA_ACCOUNT = ServiceAccount(namespace=NAMESPACE, name="grafana")
SERVICE_NAME = "monitoring-grafana"
SERVICE_PORT = 80
SERVICE_URL = f"http://{SERVICE_NAME}.{NAMESPACE}.svc.cluster.local"
HEALTH_PATH = "/api/health"
HOST = "grafana"
"""Public name of Grafana below the domain."""
ADMIN = "admin"
RAY_METRICS_PORT_NAME = "metrics"
"""Name that the KubeRay operator gives the port of every Ray pod's metrics."""
_GRAFANA_PORT = 3000
_AGENT_PORTS = (9100, 9400)
_MONITORING_API = "monitoring.coreos.com/v1"


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Inputs of `Monitoring`.

    Alerts go to `alert_topic_arn` with the rights of `alertmanager_role_arn`, and to Slack if the settings name a
    secret whose property `url` is an incoming webhook. People reach Grafana where the cluster has a domain, at
    `grafana.<domain>`. Pods of `training_namespace` are asked for Ray's and training's metrics.
    """

    environment: Environment
    cluster: ClusterReady
    """The cluster, with the storage class among what must exist."""
    settings: MonitoringSettings
    alert_topic_arn: pulumi.Input[str]
    alertmanager_role_arn: pulumi.Input[str]
    grafana_role_arn: pulumi.Input[str]
    """ARN of Grafana's role in AWS, which has `metrics.cloudwatch_access`."""
    training_namespace: str
    airflow: bool
    """Whether Airflow runs; its alerts and its dashboard are made where it does."""


class Monitoring(pulumi.ComponentResource):
    """Prometheus, Alertmanager and Grafana, with the platform's own alerts and dashboards."""

    url: str
    login_secret_arn: pulumi.Output[str]
    """ARN of the secret with the login of Grafana's administrator."""
    ready: list[pulumi.Resource]
    backend: Backend

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:services:Monitoring", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._namespace = namespace = self._services_namespace()
        agents = self._agents_namespace()

        password = generated_password(f"{name}-admin-password", opts=self._child)
        login = StoredSecret(
            f"{name}-login",
            StoredSecretArgs(environment=args.environment, value={"username": ADMIN, "password": password}),
            self._child,
        )
        grafana = self._secret(
            "grafana-admin", {"admin-user": (login.arn, "username"), "admin-password": (login.arn, "password")}
        )
        slack = None
        if args.settings.slack_secret_arn is not None:
            slack = self._secret("alertmanager-slack", {"url": (args.settings.slack_secret_arn, "url")})

        release = helm.release(
            f"{name}-release",
            charts.PROMETHEUS_STACK,
            name="monitoring",
            namespace=namespace.name,
            values=stack_values(
                environment=args.environment.name,
                settings=args.settings,
                region=args.environment.region,
                grafana_host=f"{HOST}.{args.cluster.domain}" if args.cluster.domain else None,
                grafana_secret=grafana.secret_name,
                grafana_account=GRAFANA_ACCOUNT.name,
                grafana_role_arn=args.grafana_role_arn,
                alertmanager_account=ALERTMANAGER_ACCOUNT.name,
                alertmanager_role_arn=args.alertmanager_role_arn,
                alertmanager_config=alertmanager_config(
                    topic_arn=args.alert_topic_arn,
                    region=args.environment.region,
                    slack_secret=slack.secret_name if slack else None,
                ),
                alertmanager_secrets=[slack.secret_name] if slack else [],
                agents_namespace=agents.name,
            ),
            parent=self,
            needs=[
                *args.cluster.base,
                *namespace.ready,
                *agents.ready,
                grafana.ready,
                *([slack.ready] if slack else []),
            ],
        )
        gpus = helm.release(
            f"{name}-gpus",
            charts.DCGM_EXPORTER,
            name="dcgm-exporter",
            namespace=agents.name,
            values=dcgm_values(),
            parent=self,
            needs=[*args.cluster.base, *agents.ready],
        )
        self._rules()
        self._dashboards()
        self._training_monitors()

        self.url = SERVICE_URL
        self.backend = Backend(
            host=HOST,
            namespace=NAMESPACE,
            service=SERVICE_NAME,
            port=SERVICE_PORT,
            health_path=HEALTH_PATH,
            needs=[release],
        )
        self.login_secret_arn = login.arn
        self.ready = [release, gpus]
        self.register_outputs({"url": self.url, "login_secret_arn": self.login_secret_arn})

    def _services_namespace(self) -> Namespace:
        grafana = IngressRule(
            name="grafana",
            peers=self._args.cluster.load_balancer,
            ports=(_GRAFANA_PORT,),
            pods={"app.kubernetes.io/name": "grafana"},
        )
        return Namespace(
            f"{self._name}-namespace",
            NamespaceArgs(
                name=NAMESPACE,
                pod_security="restricted",
                admits=(grafana,),
                needs=self._args.cluster.base,
            ),
            self._child,
        )

    def _agents_namespace(self) -> Namespace:
        """Create the namespace of the agents, apart from the services since agents mount files of their nodes."""
        prometheus = IngressRule(name="prometheus", peers=(Peer(namespace=NAMESPACE),), ports=_AGENT_PORTS)
        return Namespace(
            f"{self._name}-agents-namespace",
            NamespaceArgs(
                name=AGENTS_NAMESPACE,
                pod_security="privileged",
                admits=(prometheus,),
                needs=self._args.cluster.base,
            ),
            self._child,
        )

    def _secret(self, role: str, keys: dict[str, tuple[pulumi.Input[str], str]]) -> ExternalSecret:
        return ExternalSecret(
            f"{self._name}-{role}",
            ExternalSecretArgs(
                name=role,
                namespace=self._namespace.name,
                keys=keys,
                needs=[*self._args.cluster.secrets, *self._namespace.ready],
            ),
            self._child,
        )

    def _rules(self) -> None:
        for file, rules in self._of_what_runs(metrics.alert_files()).items():
            self._custom(f"rules-{file}", "PrometheusRule", file, rules)

    def _dashboards(self) -> None:
        constants = {"database": database_name(self._args.environment.name)}
        for file, dashboard in self._of_what_runs(metrics.dashboards(constants)).items():
            kubernetes.core.v1.ConfigMap(
                f"{self._name}-dashboard-{file}",
                metadata={
                    "name": f"dashboard-{file}",
                    "namespace": self._namespace.name,
                    "labels": {"grafana_dashboard": "1"},
                },
                data={f"{file}.json": json.dumps(dashboard)},
                opts=self._child,
            )

    def _of_what_runs(self, files: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: file for name, file in files.items() if self._args.airflow or name != "airflow"}

    def _training_monitors(self) -> None:
        by_cluster = {"sourceLabels": ["__meta_kubernetes_pod_label_ray_io_cluster"], "targetLabel": "ray_cluster"}
        # Runs apart from Ray: every worker has their port, and only the first rank's serves, while it trains. Whether a
        # target is up says nothing there, and the alert on targets (alerts/targets.yaml) leaves them out by this name.
        for name, endpoint in (
            ("training", {"port": RAY_METRICS_PORT_NAME, "relabelings": [by_cluster]}),
            (metrics.RUNS_MONITOR, {"port": metrics.TRAINING_PORT_NAME}),
        ):
            spec = {
                "namespaceSelector": {"matchNames": [self._args.training_namespace]},
                "selector": {},
                "podMetricsEndpoints": [endpoint],
            }
            self._custom(name, "PodMonitor", name, spec)

    def _custom(self, role: str, kind: str, object_name: str, spec: Mapping[str, object]) -> None:
        CustomResource(
            f"{self._name}-{role}",
            api_version=_MONITORING_API,
            kind=kind,
            metadata={"name": object_name, "namespace": self._namespace.name},
            spec=dict(spec),
            # The kinds are among what must exist before.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self._args.cluster.base)),
        )
