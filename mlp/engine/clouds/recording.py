"""The recording cloud: answers with deterministic ids, ARNs and endpoints in AWS's own formats."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from mlp.engine.cloud import (
    ACCOUNT,
    PARTITION,
    Created,
    Place,
    Registration,
    UnknownToCloudError,
    hex_digits,
    physical_name,
    prefixed_name,
)
from mlp.engine.values import Secret

Inputs = Mapping[str, Any]
Recorder = Callable[[Registration, Inputs, Place], Created]
Lookup = Callable[[Inputs, Place], Mapping[str, Any]]


class RecordingCloud:
    """Creates nothing. The same program gives the same answers in every run and on every machine."""

    def create(self, wanted: Registration, inputs: Inputs, place: Place) -> Created:
        """Answer as the provider would after creating `wanted`."""
        recorder = RECORDERS.get(wanted.type)
        if recorder is None and wanted.type.startswith("pulumi:providers:"):
            recorder = _provider
        if recorder is None and wanted.type.startswith("kubernetes:"):
            recorder = _kubernetes_object  # of whatever kind, the API server gives back what it was given
        if recorder is None:
            raise UnknownToCloudError(wanted.type, "recording", "mlp/engine/clouds/recording.py")
        return recorder(wanted, inputs, place)

    def invoke(self, token: str, args: Inputs, place: Place) -> Mapping[str, Any]:
        """Answer a lookup as AWS would in an account of its own."""
        lookup = LOOKUPS.get(token)
        if lookup is None:
            raise UnknownToCloudError(token, "recording", "mlp/engine/clouds/recording.py")
        return lookup(args, place)


def _provider(wanted: Registration, _inputs: Inputs, _place: Place) -> Created:
    return Created(id=hex_digits(wanted.urn, 32))


def _with_id(prefix: str) -> Recorder:
    """EC2's way: a prefix and 17 hex digits."""

    def record(wanted: Registration, _inputs: Inputs, _place: Place) -> Created:
        return Created(id=f"{prefix}-{hex_digits(wanted.urn, 17)}")

    return record


def _with_ec2_arn(prefix: str, kind: str) -> Recorder:
    def record(wanted: Registration, inputs: Inputs, place: Place) -> Created:
        created = _with_id(prefix)(wanted, inputs, place)
        return Created(id=created.id, outputs={"arn": place.arn("ec2", f"{kind}/{created.id}"), "ownerId": ACCOUNT})

    return record


def _named_by(*keys: str) -> Recorder:
    """A resource whose id is made of its inputs."""

    def record(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
        return Created(id=":".join(str(inputs[key]) for key in keys))

    return record


def _elastic_ip(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    number = 1 + int(hex_digits(wanted.urn, 8), 16) % 254
    created = _with_id("eipalloc")(wanted, inputs, place)
    return Created(id=created.id, outputs={"allocationId": created.id, "publicIp": f"203.0.113.{number}"})


def _named_arn(service: str, kind: str) -> Recorder:
    """A resource that has its name for its id, and an ARN that ends in it."""

    def record(wanted: Registration, inputs: Inputs, place: Place) -> Created:
        name = inputs.get("name") or physical_name(wanted)
        return Created(id=name, outputs={"name": name, "arn": place.arn(service, f"{kind}:{name}")})

    return record


def _event_rule(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=name, outputs={"name": name, "arn": place.arn("events", f"rule/{name}")})


def _launch_template(wanted: Registration, _inputs: Inputs, place: Place) -> Created:
    id_ = f"lt-{hex_digits(wanted.urn, 17)}"
    arn = place.arn("ec2", f"launch-template/{id_}")
    return Created(id=id_, outputs={"name": physical_name(wanted), "arn": arn, "latestVersion": 1})


def _default_security_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    made = _with_ec2_arn("sg", "security-group")(wanted, inputs, place)
    return Created(id=made.id, outputs={**made.outputs, "name": "default"})


def _route(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"r-{inputs['routeTableId']}{hex_digits(wanted.urn, 10)}")


def _bucket(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("bucket") or prefixed_name(wanted, inputs)
    return Created(
        id=name,
        outputs={
            "bucket": name,
            "arn": place.arn("s3", name, region="", account=""),
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "region": place.region,
        },
    )


def _subnet_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=name, outputs={"name": name, "arn": place.arn("rds", f"subgrp:{name}")})


def _database(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    identifier = inputs.get("identifier") or physical_name(wanted)
    address = f"{identifier}.{hex_digits(wanted.urn, 12)}.{place.region}.rds.amazonaws.com"
    port = inputs.get("port", 5432)
    return Created(
        id=f"db-{hex_digits(wanted.urn, 26).upper()}",
        outputs={
            "identifier": identifier,
            "address": address,
            "endpoint": f"{address}:{port}",
            "port": port,
            "arn": place.arn("rds", f"db:{identifier}"),
        },
    )


def _repository(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(
        id=name,
        outputs={
            "name": name,
            "arn": place.arn("ecr", f"repository/{name}"),
            "registryId": ACCOUNT,
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{place.region}.amazonaws.com/{name}",
        },
    )


def _role(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("iam", f"role{inputs.get('path', '/')}{name}", region="")
    return Created(id=name, outputs={"name": name, "arn": arn})


def _role_policy(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=f"{inputs['role']}:{name}", outputs={"name": name})


def _role_attachment(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"{inputs['role']}-{hex_digits(wanted.urn, 26)}")


def _oidc_provider(_wanted: Registration, inputs: Inputs, place: Place) -> Created:
    arn = place.arn("iam", f"oidc-provider/{inputs['url'].removeprefix('https://')}", region="")
    return Created(id=arn, outputs={"arn": arn})


def _cluster(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    number = hex_digits(wanted.urn, 32).upper()
    return Created(
        id=name,
        outputs={
            "name": name,
            "arn": place.arn("eks", f"cluster/{name}"),
            "endpoint": f"https://{number}.gr7.{place.region}.eks.amazonaws.com",
            "certificateAuthority": {"data": base64.b64encode(b"recorded certificate authority").decode()},
            "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{place.region}.amazonaws.com/id/{number}"}]}],
            "status": "ACTIVE",
            "vpcConfig": {
                **inputs["vpcConfig"],
                "clusterSecurityGroupId": f"sg-{hex_digits(wanted.urn + '/security-group', 17)}",
            },
        },
    )


def _node_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("nodeGroupName") or physical_name(wanted)
    arn = place.arn("eks", f"nodegroup/{inputs['clusterName']}/{name}/{hex_digits(wanted.urn, 32)}")
    group = {"autoscalingGroups": [{"name": f"eks-{name}-{_uuid(wanted.urn)}"}], "remoteAccessSecurityGroupId": ""}
    outputs = {"nodeGroupName": name, "arn": arn, "resources": [group], "status": "ACTIVE"}
    return Created(id=f"{inputs['clusterName']}:{name}", outputs=outputs)


def _uuid(seed: str) -> str:
    digits = hex_digits(seed, 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _scaling_group_tag(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}")


def _access_association(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id="#".join(inputs[key] for key in ("clusterName", "principalArn", "policyArn")))


def _key(wanted: Registration, _inputs: Inputs, place: Place) -> Created:
    id_ = _uuid(wanted.urn)
    return Created(id=id_, outputs={"keyId": id_, "arn": place.arn("kms", f"key/{id_}")})


def _topic(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("sns", name)
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _subscription(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    arn = f"{inputs['topic']}:{_uuid(wanted.urn)}"
    return Created(id=arn, outputs={"arn": arn})


def _budget(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("budgets", f"budget/{name}", region="")
    return Created(id=f"{ACCOUNT}:{name}", outputs={"name": name, "arn": arn, "accountId": ACCOUNT})


def _certificate(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    arn = place.arn("acm", f"certificate/{_uuid(wanted.urn)}")
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


def _certificate_validation(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=inputs["certificateArn"])


def _dns_record(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs["name"].rstrip(".")
    return Created(id=f"{inputs['zoneId']}_{name}_{inputs['type']}", outputs={"fqdn": name})


def _web_acl(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name, id_ = inputs.get("name") or physical_name(wanted), _uuid(wanted.urn)
    return Created(id=id_, outputs={"name": name, "arn": place.arn("wafv2", f"regional/webacl/{name}/{id_}")})


def _access_entry(_wanted: Registration, inputs: Inputs, place: Place) -> Created:
    cluster, principal = inputs["clusterName"], inputs["principalArn"]
    _, _, _, _, account, role = principal.split(":", 5)
    name = role.rpartition("/")[2]
    arn = place.arn("eks", f"access-entry/{cluster}/role/{account}/{name}/{_uuid(principal)}")
    return Created(id=f"{cluster}:{principal}", outputs={"accessEntryArn": arn, "type": "STANDARD"})


def _secret(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or prefixed_name(wanted, inputs)
    arn = place.arn("secretsmanager", f"secret:{name}-{hex_digits(wanted.urn, 6)}")
    return Created(id=arn, outputs={"name": name, "arn": arn})


def _secret_version(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    version = hex_digits(wanted.urn, 32)
    return Created(id=f"{inputs['secretId']}|{version}", outputs={"versionId": version})


def _random_password(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id="none", outputs={"result": Secret(hex_digits(wanted.urn, 64)[: inputs["length"]])})


def _random_id(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    digits = hex_digits(wanted.urn, 2 * inputs["byteLength"])
    encoded = base64.urlsafe_b64encode(bytes.fromhex(digits)).decode().rstrip("=")
    return Created(id=encoded, outputs={"hex": digits, "b64Url": encoded, "dec": str(int(digits, 16))})


def _kubernetes_object(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    metadata = dict(inputs.get("metadata", {}))
    metadata.setdefault("name", physical_name(wanted))
    names = [metadata[key] for key in ("namespace", "name") if key in metadata]
    return Created(id="/".join(names), outputs={"metadata": metadata})


def _ingress(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    """A load balancer's controller writes its name into the status."""
    created = _kubernetes_object(wanted, inputs, place)
    annotations = inputs.get("metadata", {}).get("annotations", {})
    group = annotations.get("alb.ingress.kubernetes.io/group.name", created.id)
    host = f"k8s-{hex_digits(group, 10)}-{hex_digits(group, 20)[10:]}.{place.region}.elb.amazonaws.com"
    return Created(
        id=created.id, outputs={**created.outputs, "status": {"loadBalancer": {"ingress": [{"hostname": host}]}}}
    )


def _release(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    namespace = inputs.get("namespace", "default")
    status = {"status": "deployed", "name": name, "namespace": namespace, "version": inputs.get("version")}
    return Created(id=f"{namespace}/{name}", outputs={"name": name, "status": status})


def _image(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    digest = f"sha256:{hex_digits(wanted.urn, 64)}"
    return Created(id=digest, outputs={"digest": digest, "ref": f"{inputs['tags'][0]}@{digest}"})


RECORDERS: dict[str, Recorder] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:acm/certificateValidation:CertificateValidation": _certificate_validation,
    "aws:autoscaling/tag:Tag": _scaling_group_tag,
    "aws:budgets/budget:Budget": _budget,
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named_arn("cloudwatch", "alarm"),
    "aws:cloudwatch/logGroup:LogGroup": _named_arn("logs", "log-group"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _default_security_group,
    "aws:ec2/eip:Eip": _elastic_ip,
    "aws:ec2/flowLog:FlowLog": _with_id("fl"),
    "aws:ec2/internetGateway:InternetGateway": _with_ec2_arn("igw", "internet-gateway"),
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/natGateway:NatGateway": _with_id("nat"),
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTable:RouteTable": _with_ec2_arn("rtb", "route-table"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _with_id("rtbassoc"),
    "aws:ec2/securityGroup:SecurityGroup": _with_ec2_arn("sg", "security-group"),
    "aws:ec2/subnet:Subnet": _with_ec2_arn("subnet", "subnet"),
    "aws:ec2/vpc:Vpc": _with_ec2_arn("vpc", "vpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _with_ec2_arn("vpce", "vpc-endpoint"),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _named_by("repository"),
    "aws:ecr/repository:Repository": _repository,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _access_association,
    "aws:eks/addon:Addon": _named_by("clusterName", "addonName"),
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _oidc_provider,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _role_attachment,
    "aws:kms/key:Key": _key,
    "aws:rds/eventSubscription:EventSubscription": _named_arn("rds", "es"),
    "aws:rds/instance:Instance": _database,
    "aws:rds/parameterGroup:ParameterGroup": _named_arn("rds", "pg"),
    "aws:rds/subnetGroup:SubnetGroup": _subnet_group,
    "aws:route53/record:Record": _dns_record,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _named_by("bucket"),
    "aws:s3/bucketNotification:BucketNotification": _named_by("bucket"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _named_by("bucket"),
    "aws:s3/bucketPolicy:BucketPolicy": _named_by("bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _named_by("bucket"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _named_by("bucket"),
    "aws:s3/bucketVersioning:BucketVersioning": _named_by("bucket"),
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _secret_version,
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _named_by("arn"),
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _with_id("sgr"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _with_id("sgr"),
    "aws:wafv2/webAcl:WebAcl": _web_acl,
    "docker-build:index:Image": _image,
    "kubernetes:helm.sh/v3:Release": _release,
    "kubernetes:networking.k8s.io/v1:Ingress": _ingress,
    "random:index/randomId:RandomId": _random_id,
    "random:index/randomPassword:RandomPassword": _random_password,
}


def _partition(_args: Inputs, _place: Place) -> Mapping[str, Any]:
    return {"id": PARTITION, "partition": PARTITION, "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _authorization_token(_args: Inputs, place: Place) -> Mapping[str, Any]:
    proxy = f"https://{ACCOUNT}.dkr.ecr.{place.region}.amazonaws.com"
    return {"id": place.region, "userName": "AWS", "password": Secret("recorded"), "proxyEndpoint": proxy}


def _secret_value(args: Inputs, place: Place) -> Mapping[str, Any]:
    # What the platform keeps in Secrets Manager are logins.
    login = '{"username": "recorded", "password": "recorded"}'
    return {"id": args["secretId"], "arn": args["secretId"], "region": place.region, "secretString": Secret(login)}


def _caller(_args: Inputs, place: Place) -> Mapping[str, Any]:
    arn = place.arn("iam", "user/planner", region="")
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": arn, "userId": "AIDAPLANNER"}


LOOKUPS: dict[str, Lookup] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": _authorization_token,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getPartition:getPartition": _partition,
    "aws:secretsmanager/getSecretVersion:getSecretVersion": _secret_value,
}
