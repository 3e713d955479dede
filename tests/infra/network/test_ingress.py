"""The entrance: one load balancer, TLS, and a name for each service."""

import json

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from infra.controllers.controllers import LOAD_BALANCER_ACCOUNT
from infra.network.ingress import Backend, Ingress, IngressArgs, load_balancer_annotations
from infra.settings.edge_settings import OidcSettings
from tests.builders import ancestors, deploy, inputs_of, wanted
from tests.infra.builders import ENVIRONMENT

EDGE = {"certificate_arn": "arn:certificate", "security_group_id": "sg-1", "web_acl_arn": "arn:acl"}
PREFIX = "alb.ingress.kubernetes.io/"


def backend(host="mlflow", health_path="/health"):
    return Backend(host=host, namespace=host, service=host, port=80, health_path=health_path, needs=[])


SIGN_IN = OidcSettings(
    issuer="https://login.example.com",
    authorization_endpoint="https://login.example.com/authorize",
    token_endpoint="https://login.example.com/token",
    user_info_endpoint="https://login.example.com/userinfo",
    client_secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:ml-platform/test/sign-in-AbCdEf",
)


def deploy_ingress(zone_id="Z0123456789", oidc=None):
    def declare():
        store = kubernetes.core.v1.ConfigMap("store", metadata={"name": "store"})
        controller = kubernetes.core.v1.ConfigMap("controller", metadata={"name": "controller"})
        args = IngressArgs(
            environment=ENVIRONMENT,
            backend=backend(),
            domain="ml.example.com",
            zone_id=zone_id,
            edge=EDGE,
            controller=controller,
            oidc=oidc,
            secrets=[store],
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


INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
EXTERNAL_SECRET = "kubernetes:external-secrets.io/v1:ExternalSecret"


def told_of_sign_in(deployment):
    [ingress] = inputs_of(deployment, INGRESS).values()
    found = ingress["metadata"]["annotations"].items()
    return {key.removeprefix(PREFIX): value for key, value in found if key.startswith(f"{PREFIX}auth-")}


def test_without_a_provider_nobody_signs_in_at_the_load_balancer():
    deployment = deploy_ingress()
    assert told_of_sign_in(deployment) == {}
    assert not deployment.of_type(EXTERNAL_SECRET)


def test_with_a_provider_browsers_sign_in_before_they_reach_the_service():
    deployment = deploy_ingress(oidc=SIGN_IN)
    told = told_of_sign_in(deployment)
    [secret] = inputs_of(deployment, EXTERNAL_SECRET).values()
    assert (told["auth-type"], told["auth-on-unauthenticated-request"]) == ("oidc", "authenticate")
    assert (told["auth-scope"], told["auth-session-timeout"]) == ("openid", "43200")
    assert json.loads(told["auth-idp-oidc"]) == {
        "issuer": "https://login.example.com",
        "authorizationEndpoint": "https://login.example.com/authorize",
        "tokenEndpoint": "https://login.example.com/token",
        "userInfoEndpoint": "https://login.example.com/userinfo",
        "secretName": secret["spec"]["target"]["name"],
    }


def test_the_controller_finds_the_client_and_may_read_no_other_secret():
    deployment = deploy_ingress(oidc=SIGN_IN)
    [secret] = inputs_of(deployment, EXTERNAL_SECRET).values()
    arn = SIGN_IN.client_secret_arn
    assert secret["metadata"]["namespace"] == "mlflow"
    assert {one["secretKey"]: one["remoteRef"] for one in secret["spec"]["data"]} == {
        "clientID": {"key": arn, "property": "client_id"},
        "clientSecret": {"key": arn, "property": "client_secret"},
    }
    [role] = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:Role").values()
    [rule] = role["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["secrets"], [secret["spec"]["target"]["name"]])
    assert set(rule["verbs"]) == {"get", "list", "watch"}
    [binding] = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").values()
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [(one["kind"], one["namespace"], one["name"]) for one in binding["subjects"]] == [
        ("ServiceAccount", LOAD_BALANCER_ACCOUNT.namespace, LOAD_BALANCER_ACCOUNT.name)
    ]
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"mlflow"}


def test_the_controller_may_read_the_client_before_it_is_told_of_it():
    deployment = deploy_ingress(oidc=SIGN_IN)
    [ingress] = wanted(deployment, INGRESS).values()
    before = {deployment.resources[urn].wanted.type for urn in ancestors(deployment, ingress.urn)}
    assert {EXTERNAL_SECRET, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"} <= before
    [client] = wanted(deployment, EXTERNAL_SECRET).values()
    [store] = [
        one.wanted.urn for one in deployment.of_type("kubernetes:core/v1:ConfigMap") if one.wanted.name == "store"
    ]
    assert store in client.dependencies
