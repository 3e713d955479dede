"""The way in: one load balancer, TLS, and a name for each service."""

import json

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.ingress import Backend, Ingress, IngressArgs, load_balancer_annotations
from tests.builders import deploy, inputs_of

EDGE = {"certificate_arn": "arn:certificate", "security_group_id": "sg-1", "web_acl_arn": "arn:acl"}
PREFIX = "alb.ingress.kubernetes.io/"


def backend(host="mlflow", health_path="/health"):
    return Backend(host=host, namespace=host, service=host, port=80, health_path=health_path, needs=[])


def deploy_ingress(zone_id="Z0123456789"):
    def declare():
        controller = kubernetes.core.v1.ConfigMap("controller", metadata={"name": "controller"})
        args = IngressArgs(
            environment="test",
            backend=backend(),
            domain="ml.example.com",
            zone_id=zone_id,
            edge=EDGE,
            controller=controller,
        )
        pulumi.export("url", Ingress("way-in", args).url)

    return deploy(declare)


def annotations(of, edge=EDGE):
    return {key.removeprefix(PREFIX): value for key, value in load_balancer_annotations("test", of, edge).items()}


def test_plain_http_is_sent_to_https_with_the_certificate_and_no_old_tls():
    told = annotations(backend())
    assert json.loads(told["listen-ports"]) == [{"HTTP": 80}, {"HTTPS": 443}]
    assert (told["ssl-redirect"], told["certificate-arn"]) == ("443", "arn:certificate")
    assert "TLS13-1-2" in told["ssl-policy"]
    assert "strict_transport_security.header_value=max-age=31536000" in told["listener-attributes.HTTPS-443"]


def test_the_load_balancer_has_our_firewall_and_rate_limit():
    told = annotations(backend())
    assert (told["security-groups"], told["wafv2-acl-arn"]) == ("sg-1", "arn:acl")
    without = {key: value for key, value in EDGE.items() if key != "web_acl_arn"}
    assert "wafv2-acl-arn" not in annotations(backend(), without)


def test_what_concerns_the_whole_load_balancer_is_the_same_for_every_service():
    one, other = annotations(backend()), annotations(backend("airflow", "/api/v2/monitor/health"))
    assert {key for key in one if one[key] != other[key]} == {"healthcheck-path"}


def test_every_annotation_is_text():
    assert all(isinstance(value, str) for value in annotations(backend()).values())


@pytest.mark.parametrize("zone_id", ["Z0123456789", None])
def test_a_service_has_a_name_that_leads_to_the_load_balancer(zone_id):
    deployment = deploy_ingress(zone_id)
    [ingress] = deployment.of_type("kubernetes:networking.k8s.io/v1:Ingress")
    [rule] = ingress.wanted.inputs["spec"]["rules"]
    assert rule["host"] == "mlflow.ml.example.com"
    assert deployment.outputs["url"] == "https://mlflow.ml.example.com"
    records = list(inputs_of(deployment, "aws:route53/record:Record").values())
    address = ingress.created.outputs["status"]["loadBalancer"]["ingress"][0]["hostname"]
    assert [(one["name"], one["type"], one["records"]) for one in records] == (
        [("mlflow.ml.example.com", "CNAME", [address])] if zone_id else []
    )
