"""What follows from outputs that are unknown in a preview: of what is replaced, and of what is made of those."""

from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from mlp.plan.planned import program_plan
from mlp.review.changes.differences import compare_program
from tests.builders import deploy
from tests.mlp.review.changes.builders import paths


def changes(declare, before, after):
    """What changes when `declare` gets `after` instead of `before`: the kind and the paths, by name."""
    compared = compare_program(*(program_plan(deploy(partial(declare, value))) for value in (before, after)))
    return {one.entry.name: (one.kind, {*paths(one)}) for one in compared.resources}


def record(name, zone, records):
    return aws.route53.Record(name, zone_id=zone, name=name, type="CNAME", ttl=60, records=records)


def test_an_output_that_is_no_id_is_unknown_too():
    def declare(zone):
        made = record("www.example.com", zone, ["there"])
        aws.acm.CertificateValidation("validated", certificate_arn="arn", validation_record_fqdns=[made.fqdn])

    assert changes(declare, "Z1", "Z2") == {
        "www.example.com": ("replaced", {"zoneId"}),
        "validated": ("replaced", {"validationRecordFqdns"}),
    }


def test_a_whole_input_that_is_made_of_unknown_outputs_is_unknown_whatever_it_would_be():
    def declare(domain):
        certificate = aws.acm.Certificate("cert", domain_name=domain, validation_method="DNS")
        kind = certificate.domain_validation_options.apply(lambda options: options[0].resource_record_type)
        aws.route53.Record("proof", zone_id="Z1", name="proof", type=kind, ttl=60, records=["there"])

    assert changes(declare, "a.example.com", "b.example.com")["proof"] == ("changed", {"type"})


def test_an_input_of_a_replaced_resource_is_known():
    certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/1"

    def declare(zone):
        made = record("www.example.com", zone, ["there"])
        record("alias", "Z3", [made.records[0]])
        validated = aws.acm.CertificateValidation(
            "validated", certificate_arn=certificate, validation_record_fqdns=[made.fqdn]
        )
        kubernetes.core.v1.ServiceAccount("told", metadata={"annotations": {"certificate": validated.certificate_arn}})

    assert set(changes(declare, "Z1", "Z2")) == {"www.example.com", "validated"}


def test_an_input_that_is_unknown_itself_is_not_known_to_others():
    def declare(domain):
        certificate = aws.acm.Certificate("cert", domain_name=domain, validation_method="DNS")
        validated = aws.acm.CertificateValidation("validated", certificate_arn=certificate.arn)
        kubernetes.core.v1.ServiceAccount("told", metadata={"annotations": {"certificate": validated.certificate_arn}})

    found = changes(declare, "a.example.com", "b.example.com")
    assert found["told"] == ("changed", {"metadata.annotations.certificate"})


def address(status: Any) -> str:
    return str(status.load_balancer.ingress[0].hostname)


def entrance(certificate):
    """An entrance with a certificate, and the record that has its address."""
    ingress = kubernetes.networking.v1.Ingress(
        "entrance",
        metadata={"name": "entrance", "annotations": {"alb.ingress.kubernetes.io/certificate-arn": certificate}},
    )
    record("www.example.com", "Z1", [ingress.status.apply(address)])


def test_the_status_of_an_object_that_is_not_wholly_known_is_unknown():
    found = changes(
        lambda domain: entrance(aws.acm.Certificate("cert", domain_name=domain, validation_method="DNS").arn),
        "a.example.com",
        "b.example.com",
    )
    assert found["www.example.com"] == ("changed", {"records"})
    assert found["entrance"][0] == "changed"


def test_the_status_of_an_object_that_refers_to_something_new_is_unknown():
    def declare(name):
        entrance(aws.acm.Certificate(name, domain_name="a.example.com", validation_method="DNS").arn)

    found = changes(declare, "one", "two")
    assert found["www.example.com"] == ("changed", {"records"})
    assert (found["one"][0], found["two"][0]) == ("deleted", "created")


def test_the_status_of_an_object_that_names_something_new_is_known():
    def declare(name):
        kubernetes.core.v1.ConfigMap(name, metadata={"name": name})
        entrance(name)

    assert set(changes(declare, "one", "two")) == {"one", "two", "entrance"}


def test_the_status_of_an_object_that_is_known_stays():
    assert set(changes(lambda arn: entrance(pulumi.Output.from_input(arn)), "arn:1", "arn:2")) == {"entrance"}
