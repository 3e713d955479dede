"""The entrance: certificate, firewall and rate limit of the load balancer in front of the services."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.settings.edge_settings import EdgeSettings, OidcSettings

PORTS = {"https": 443, "http": 80}
"""Ports of the load balancer; plain HTTP is only ever answered with a redirect."""
VALIDATION_TIMEOUT = "15m"


@dataclass(frozen=True, kw_only=True)
class EdgeArgs:
    """Inputs of `Edge`, with `settings.enabled`. The load balancer reaches `network_cidr` alone."""

    vpc_id: pulumi.Input[str]
    network_cidr: IPv4Network
    settings: EdgeSettings


class Edge(pulumi.ComponentResource):
    """Certificate, firewall and rate limit of the load balancer; the services' ingresses join them."""

    certificate_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    web_acl_arn: pulumi.Output[str] | None
    domain: str
    """Domain of the services, each of which is at `<service>.<domain>`."""
    zone_id: str | None
    """Id of the zone in which the services' names are made, if any."""
    oidc: OidcSettings | None
    """Provider at which browsers sign in before they reach any service; None without one."""

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:edge:Edge", name, None, opts)
        settings = args.settings
        if not settings.domain:
            raise pulumi.RunError("settings.domain is missing; Edge opens services at <service>.<domain>")
        self._name, self._child = name, pulumi.ResourceOptions(parent=self)
        self.certificate_arn = (
            pulumi.Output.from_input(settings.certificate_arn)
            if settings.certificate_arn
            else self._certificate(settings.domain, str(settings.zone_id))
        )
        self.security_group_id = self._firewall(args)
        self.domain, self.zone_id, self.oidc = settings.domain, settings.zone_id, settings.oidc
        self.web_acl_arn = self._rate_limit(settings.requests_per_5_minutes)
        self.register_outputs({"certificate_arn": self.certificate_arn})

    def outputs(self) -> dict[str, pulumi.Output[str]]:
        """Return what a service's ingress must know of the entrance, by name."""
        found = {"certificate_arn": self.certificate_arn, "security_group_id": self.security_group_id}
        return found | ({"web_acl_arn": self.web_acl_arn} if self.web_acl_arn else {})

    def _certificate(self, domain: str, zone_id: str) -> pulumi.Output[str]:
        """Create a certificate for every service below `domain`, with the one DNS record by which ACM validates it."""
        certificate = aws.acm.Certificate(
            f"{self._name}-certificate", domain_name=f"*.{domain}", validation_method="DNS", opts=self._child
        )
        record = certificate.domain_validation_options.apply(lambda options: options[0])
        validation = aws.route53.Record(
            f"{self._name}-validation",
            zone_id=zone_id,
            name=record.resource_record_name,
            type=record.resource_record_type,
            records=[record.resource_record_value],
            ttl=300,
            allow_overwrite=True,
            opts=self._child,
        )
        validated = aws.acm.CertificateValidation(
            f"{self._name}-validated",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[validation.fqdn],
            # Longer means that the registrar does not point to the zone's name servers.
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=pulumi.CustomTimeouts(create=VALIDATION_TIMEOUT)),
        )
        return validated.certificate_arn

    def _firewall(self, args: EdgeArgs) -> pulumi.Output[str]:
        firewall = aws.ec2.SecurityGroup(
            f"{self._name}-access", vpc_id=args.vpc_id, description="The platform's load balancer", opts=self._child
        )
        for scheme, port in PORTS.items():
            for block in args.settings.allowed_cidrs:
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-{scheme}-from-{block}",
                    security_group_id=firewall.id,
                    cidr_ipv4=str(block),
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    opts=self._child,
                )
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-to-pods",
            security_group_id=firewall.id,
            cidr_ipv4=str(args.network_cidr),
            ip_protocol="-1",
            opts=self._child,
        )
        if args.settings.oidc:
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-to-sign-in",
                security_group_id=firewall.id,
                description="The OIDC provider, whose addresses nobody promises",
                cidr_ipv4="0.0.0.0/0",
                ip_protocol="tcp",
                from_port=PORTS["https"],
                to_port=PORTS["https"],
                opts=self._child,
            )
        return firewall.id

    def _rate_limit(self, requests_per_5_minutes: int | None) -> pulumi.Output[str] | None:
        if requests_per_5_minutes is None:
            return None
        name = f"{self._name}-rate-limit"
        seen = {"cloudwatch_metrics_enabled": True, "sampled_requests_enabled": True}
        limit = aws.wafv2.WebAclRuleStatementArgs(
            rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                limit=requests_per_5_minutes, aggregate_key_type="IP"
            )
        )
        rule = aws.wafv2.WebAclRuleArgs(
            name="requests-of-one-address",
            priority=1,
            action=aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs()),
            statement=limit,
            visibility_config=aws.wafv2.WebAclRuleVisibilityConfigArgs(metric_name=name, **seen),
        )
        acl = aws.wafv2.WebAcl(
            name,
            scope="REGIONAL",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            rules=[rule],
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(metric_name=name, **seen),
            opts=self._child,
        )
        return acl.arn
