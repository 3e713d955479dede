"""ACM: certificates, and the records by which their names are validated."""

from __future__ import annotations

from mlp.engine.cloud import Created
from mlp.engine.clouds.moto.request import Handler, Request, pascal
from mlp.shared.errors import PlatformError


def _certificate(request: Request) -> Created:
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


def _validation(request: Request) -> Created:
    """Nothing that AWS holds: Pulumi's provider waits here until the certificate is issued.

    The emulator issues a certificate after a minute, whatever its zone holds, so this does not wait; it refuses, as the
    provider does, a certificate of which a record is missing.
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


HANDLERS: dict[str, Handler] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:acm/certificateValidation:CertificateValidation": _validation,
}
