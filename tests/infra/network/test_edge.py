"""The entrance: for whom it opens, under which names, and how fast one may knock."""

from ipaddress import IPv4Network

import pulumi
import pytest

from infra.network.edge import Edge, EdgeArgs
from infra.settings.edge_settings import EdgeSettings
from tests.builders import deploy, inputs_of

VALID = {"domain": "ml.example.com", "zone_id": "Z0123456789", "allowed_cidrs": ["192.0.2.0/24"], "enabled": True}

OIDC = {
    "issuer": "https://login.example.com",
    **dict.fromkeys(("authorization_endpoint", "token_endpoint", "user_info_endpoint"), "https://login.example.com/x"),
    "client_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:ml-platform/test/sign-in-AbCdEf",
}


def deploy_edge(**changes):
    settings = EdgeSettings.model_validate(VALID | changes)
    args = EdgeArgs(vpc_id="vpc-1", network_cidr=IPv4Network("10.0.0.0/16"), settings=settings)
    return deploy(lambda: pulumi.export("edge", Edge("edge", args).outputs()))


def test_its_certificate_covers_every_service_and_is_validated_in_the_zone():
    edge = deploy_edge()
    [certificate] = edge.of_type("aws:acm/certificate:Certificate")
    assert certificate.wanted.inputs["domainName"] == "*.ml.example.com"
    assert certificate.wanted.inputs["validationMethod"] == "DNS"
    [option] = certificate.created.outputs["domainValidationOptions"]
    [record] = inputs_of(edge, "aws:route53/record:Record").values()
    assert (record["zoneId"], record["name"]) == ("Z0123456789", option["resourceRecordName"])
    assert record["records"] == [option["resourceRecordValue"]]
    [validation] = edge.of_type("aws:acm/certificateValidation:CertificateValidation")
    assert validation.wanted.inputs["certificateArn"] == certificate.created.outputs["arn"]
    assert edge.outputs["edge"]["certificate_arn"] == certificate.created.outputs["arn"]


def test_a_certificate_that_exists_is_taken():
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/abc"
    edge = deploy_edge(certificate_arn=arn, zone_id=None)
    assert not edge.of_type("aws:acm/certificate:Certificate")
    assert edge.outputs["edge"]["certificate_arn"] == arn


def test_it_reaches_the_provider_where_people_sign_in():
    edge = deploy_edge(oidc=OIDC)
    rules = inputs_of(edge, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    out = rules["edge-to-sign-in"]
    assert (out["cidrIpv4"], out["ipProtocol"], out["fromPort"], out["toPort"]) == ("0.0.0.0/0", "tcp", 443, 443)


def test_only_the_addresses_of_the_settings_reach_it_and_it_reaches_the_network_alone():
    edge = deploy_edge(allowed_cidrs=["192.0.2.0/24", "198.51.100.7/32"])
    rules = inputs_of(edge, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    assert {(one["cidrIpv4"], one["fromPort"], one["toPort"]) for one in rules} == {
        (block, port, port) for block in ("192.0.2.0/24", "198.51.100.7/32") for port in (443, 80)
    }
    [out] = inputs_of(edge, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule").values()
    assert out["cidrIpv4"] == "10.0.0.0/16"


@pytest.mark.parametrize("limit", [100, None])
def test_one_address_may_ask_so_often_and_no_oftener(limit):
    edge = deploy_edge(requests_per_5_minutes=limit)
    limits = [
        (rule["statement"]["rateBasedStatement"]["limit"], rule["action"])
        for acl in inputs_of(edge, "aws:wafv2/webAcl:WebAcl").values()
        for rule in acl["rules"]
    ]
    assert limits == ([(limit, {"block": {}})] if limit else [])
    assert ("web_acl_arn" in edge.outputs["edge"]) is bool(limit)
