"""The VPC: public subnets for what faces the internet, private ones for nodes, isolated ones for the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.environment import Environment
from infra.network.addresses import subnet_layout
from infra.settings.settings import NetworkSettings

EVERYWHERE = "0.0.0.0/0"
HTTPS_PORT = 443


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Inputs of `Network`. The cluster's name is in the tags by which load balancers and nodes find their subnets.

    Traffic is recorded in the bucket `flow_log_bucket_arn`, if one is given.
    """

    environment: Environment
    zones: tuple[str, ...]
    settings: NetworkSettings
    flow_log_bucket_arn: pulumi.Input[str] | None


class Network(pulumi.ComponentResource):
    """A VPC with a public, a private and an isolated subnet in each zone.

    Private subnets reach the internet through NAT gateways or not at all; isolated ones have no route out of the VPC,
    and none leads to them from outside. S3 is reached without NAT from all of them.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: dict[str, pulumi.Output[str]]
    """Id of the private subnet of each zone."""
    isolated_subnet_ids: list[pulumi.Output[str]]
    egress: list[pulumi.Resource]
    """Routes and endpoints that must exist before a node in a private subnet can join a cluster and pull images."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:network:Network", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.settings.cidr),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=self._child,
        )
        self._vpc = vpc
        # What names no security group of its own gets the default one: it admits nothing and reaches nothing.
        aws.ec2.DefaultSecurityGroup(
            f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], tags={"Name": f"{name}-default"}, opts=self._child
        )
        layout = subnet_layout(args.settings.cidr)
        cluster = {f"kubernetes.io/cluster/{args.environment.cluster_name}": "shared"}
        public = self._subnets("public", args.zones, layout.public, {"kubernetes.io/role/elb": "1", **cluster})
        private = self._subnets(
            "private", args.zones, layout.private, {"kubernetes.io/role/internal-elb": "1", **cluster}
        )
        isolated = self._subnets("isolated", args.zones, layout.isolated, {})

        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, opts=self._child)
        public_routes = self._route_table("public", public)
        aws.ec2.Route(
            f"{name}-public-internet",
            route_table_id=public_routes.id,
            destination_cidr_block=EVERYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        isolated_routes = self._route_table("isolated", isolated)
        private_routes = {zone: self._route_table(f"private-{zone}", {zone: private[zone]}) for zone in args.zones}
        self.egress = [
            *self._nat_routes(args, gateway, public, private_routes),
            self._s3_endpoint(args.environment.region, [public_routes, isolated_routes, *private_routes.values()]),
            *self._interface_endpoints(args, list(private.values())),
        ]
        if args.flow_log_bucket_arn is not None:
            aws.ec2.FlowLog(
                f"{name}-flow-log",
                vpc_id=vpc.id,
                traffic_type="ALL",
                log_destination_type="s3",
                log_destination=args.flow_log_bucket_arn,
                destination_options={"file_format": "parquet", "per_hour_partition": True},
                opts=self._child,
            )

        self.vpc_id = vpc.id
        self.public_subnet_ids = [subnet.id for subnet in public.values()]
        self.private_subnet_ids = {zone: subnet.id for zone, subnet in private.items()}
        self.isolated_subnet_ids = [subnet.id for subnet in isolated.values()]
        self.register_outputs({"vpc_id": self.vpc_id})

    def _subnets(
        self, kind: str, zones: Sequence[str], blocks: Sequence[IPv4Network], tags: dict[str, str]
    ) -> dict[str, aws.ec2.Subnet]:
        return {
            zone: aws.ec2.Subnet(
                f"{self._name}-{kind}-{zone}",
                vpc_id=self._vpc.id,
                availability_zone=zone,
                cidr_block=str(block),
                tags={"Name": f"{self._name}-{kind}-{zone}", **tags},
                opts=self._child,
            )
            for zone, block in zip(zones, blocks, strict=True)
        }

    def _route_table(self, role: str, subnets: dict[str, aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        """Create a route table for `subnets`, with no route out of the VPC yet."""
        table = aws.ec2.RouteTable(
            f"{self._name}-{role}-routes", vpc_id=self._vpc.id, tags={"Name": f"{self._name}-{role}"}, opts=self._child
        )
        for zone, subnet in subnets.items():
            suffix = "" if role.endswith(zone) else f"-{zone}"
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{role}{suffix}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
            )
        return table

    def _nat_routes(
        self,
        args: NetworkArgs,
        gateway: aws.ec2.InternetGateway,
        public: dict[str, aws.ec2.Subnet],
        private_routes: dict[str, aws.ec2.RouteTable],
    ) -> list[aws.ec2.Route]:
        zones_with_nat = {"none": (), "single": args.zones[:1], "per_zone": args.zones}[args.settings.nat_gateways]
        # An internet gateway must be attached before a NAT gateway can start; no value carries that.
        needs_internet = pulumi.ResourceOptions(parent=self, depends_on=[gateway])
        nat_gateways = [
            aws.ec2.NatGateway(
                f"{self._name}-nat-{zone}",
                subnet_id=public[zone].id,
                allocation_id=aws.ec2.Eip(f"{self._name}-nat-{zone}", domain="vpc", opts=self._child).id,
                tags={"Name": f"{self._name}-{zone}"},
                opts=needs_internet,
            )
            for zone in zones_with_nat
        ]
        if not nat_gateways:
            return []
        return [
            aws.ec2.Route(
                f"{self._name}-private-{zone}-nat",
                route_table_id=routes.id,
                destination_cidr_block=EVERYWHERE,
                nat_gateway_id=nat_gateways[index % len(nat_gateways)].id,
                opts=self._child,
            )
            for index, (zone, routes) in enumerate(private_routes.items())
        ]

    def _s3_endpoint(self, region: str, route_tables: Sequence[aws.ec2.RouteTable]) -> aws.ec2.VpcEndpoint:
        """Create the endpoint of S3, which is free and serves image layers too, as ECR keeps them in S3."""
        return aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self._vpc.id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in route_tables],
            tags={"Name": f"{self._name}-s3"},
            opts=self._child,
        )

    def _interface_endpoints(self, args: NetworkArgs, subnets: Sequence[aws.ec2.Subnet]) -> list[aws.ec2.VpcEndpoint]:
        if not args.settings.interface_endpoints:
            return []
        firewall = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints", vpc_id=self._vpc.id, description="AWS services from the VPC", opts=self._child
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints-https",
            security_group_id=firewall.id,
            cidr_ipv4=str(args.settings.cidr),
            ip_protocol="tcp",
            from_port=HTTPS_PORT,
            to_port=HTTPS_PORT,
            opts=self._child,
        )
        return [
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=self._vpc.id,
                service_name=f"com.amazonaws.{args.environment.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[firewall.id],
                tags={"Name": f"{self._name}-{service}"},
                opts=self._child,
            )
            for service in args.settings.interface_endpoints
        ]
