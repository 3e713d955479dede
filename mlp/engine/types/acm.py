"""ACM: certificates, and the records by which their names are validated."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits
from mlp.engine.types.aws import forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs
from mlp.engine.types.recorders import uuid
from mlp.engine.types.request import Request, pascal
from mlp.shared.errors import PlatformError


def _record_certificate(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    arn = place.arn("acm", f"certificate/{uuid(wanted.urn)}")
    options = [
        {
            "domainName": name,
            "resourceRecordName": f"_{hex_digits(name, 32)}.{name}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{hex_digits(name + '/value', 32)}.acm-validations.aws.",
        }
        for name in (inputs["domainName"], *inputs.get("subjectAlternativeNames", []))
    ]
    return Created(id=arn, outputs={"arn": arn, "domainValidationOptions": options})


def _record_certificate_validation(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=inputs["certificateArn"])


def _make_certificate(request: Request) -> Created:
    acm = request.client("acm")
    tags = request.tag_list()
    arguments = request.arguments(pascal("domainName", "subjectAlternativeNames", "validationMethod"))
    arn = acm.request_certificate(**arguments, **({"Tags": tags} if tags else {}))["CertificateArn"]
    described = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    # The emulator lists the names in another order each time; AWS, as a rule, as they were asked for.
    names = [arguments["DomainName"], *arguments.get("SubjectAlternativeNames", [])]
    described.sort(key=lambda option: names.index(option["DomainName"]))
    options = [
        {
            "domainName": option["DomainName"],
            "resourceRecordName": option["ResourceRecord"]["Name"],
            "resourceRecordType": option["ResourceRecord"]["Type"],
            "resourceRecordValue": option["ResourceRecord"]["Value"],
        }
        for option in described
    ]
    return Created(id=arn, outputs={"arn": arn, "domainValidationOptions": options})


def _make_validation(request: Request) -> Created:
    """Check the DNS records; nothing is created: Pulumi's provider waits here for the certificate.

    The emulator issues a certificate after a minute, whatever its zone holds, so this does not wait; like the provider,
    it refuses a certificate of which a record is missing.
    """
    arguments = request.arguments({"certificateArn": "CertificateArn", "validationRecordFqdns": "fqdns"})
    arn = arguments["CertificateArn"]
    certificate = request.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    wanted = {one["ResourceRecord"]["Name"].rstrip(".") for one in certificate["DomainValidationOptions"]}
    if missing := wanted - {name.rstrip(".") for name in arguments.get("fqdns", wanted)}:
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: the DNS records {', '.join(sorted(missing))} are missing; "
            "make one for each name of the certificate"
        )
    return Created(id=arn)


TYPES: Mapping[str, AwsType] = {
    "aws:acm/certificate:Certificate": AwsType(
        replaced_by=forced_by_aws(
            "acm/certificate",
            "certificateAuthorityArn domainName keyAlgorithm subjectAlternativeNames validationMethod "
            "validationOptions",
        ),
        recorder=_record_certificate,
        emulator=_make_certificate,
        takes=Duration(10),
        precious=None,
        price="public certificates are free",
    ),
    "aws:acm/certificateValidation:CertificateValidation": AwsType(
        replaced_by=forced_by_aws("acm/certificate_validation", "certificateArn validationRecordFqdns"),
        recorder=_record_certificate_validation,
        emulator=_make_validation,
        takes=Duration(300, "https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html"),
        precious=None,
        price="public certificates are free",
    ),
}
