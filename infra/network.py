"""The VPC: public subnets for what faces the internet, private ones for everything else, over three zones."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.addresses import subnet_layout
from infra.settings import NatGateways


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Inputs of `Network`. `cluster_name` is in the tags by which load balancers and nodes find their subnets."""

    cidr: IPv4Network
    zones: tuple[str, ...]
    nat_gateways: NatGateways
    cluster_name: str


class Network(pulumi.ComponentResource):
    """A VPC with one public and one private subnet a zone; private ones leave through NAT gateways or not at all."""

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.cidr),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=child,
        )
        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, opts=child)
        layout = subnet_layout(args.cidr)
        cluster = {f"kubernetes.io/cluster/{args.cluster_name}": "shared"}

        public_routes = aws.ec2.RouteTable(f"{name}-public-routes", vpc_id=vpc.id, opts=child)
        aws.ec2.Route(
            f"{name}-public-internet",
            route_table_id=public_routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=child,
        )
        public: dict[str, aws.ec2.Subnet] = {}
        for zone, block in zip(args.zones, layout.public, strict=True):
            public[zone] = aws.ec2.Subnet(
                f"{name}-public-{zone}",
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=str(block),
                tags={"Name": f"{name}-public-{zone}", "kubernetes.io/role/elb": "1", **cluster},
                opts=child,
            )
            aws.ec2.RouteTableAssociation(
                f"{name}-public-{zone}", subnet_id=public[zone].id, route_table_id=public_routes.id, opts=child
            )

        zones_with_nat = {"none": (), "single": args.zones[:1], "per_zone": args.zones}[args.nat_gateways]
        nat_gateways: list[aws.ec2.NatGateway] = []
        for zone in zones_with_nat:
            address = aws.ec2.Eip(f"{name}-nat-{zone}", domain="vpc", opts=child)
            # An internet gateway must be attached before a NAT gateway can start; no value carries that.
            needs_internet = pulumi.ResourceOptions(parent=self, depends_on=[gateway])
            nat_gateways.append(
                aws.ec2.NatGateway(
                    f"{name}-nat-{zone}", subnet_id=public[zone].id, allocation_id=address.id, opts=needs_internet
                )
            )

        private: list[aws.ec2.Subnet] = []
        for index, (zone, block) in enumerate(zip(args.zones, layout.private, strict=True)):
            subnet = aws.ec2.Subnet(
                f"{name}-private-{zone}",
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=str(block),
                tags={"Name": f"{name}-private-{zone}", "kubernetes.io/role/internal-elb": "1", **cluster},
                opts=child,
            )
            private.append(subnet)
            routes = aws.ec2.RouteTable(f"{name}-private-{zone}-routes", vpc_id=vpc.id, opts=child)
            aws.ec2.RouteTableAssociation(
                f"{name}-private-{zone}", subnet_id=subnet.id, route_table_id=routes.id, opts=child
            )
            if nat_gateways:
                aws.ec2.Route(
                    f"{name}-private-{zone}-nat",
                    route_table_id=routes.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=nat_gateways[index % len(nat_gateways)].id,
                    opts=child,
                )

        self.vpc_id = vpc.id
        self.public_subnet_ids = [subnet.id for subnet in public.values()]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.register_outputs({"vpc_id": self.vpc_id})
