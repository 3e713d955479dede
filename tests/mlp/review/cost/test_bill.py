from dataclasses import replace

import pytest

from mlp.engine.types import TYPES
from mlp.engine.types.facts import PriceRule
from mlp.plan.planned import ProgramPlan
from mlp.review.cost.assumptions import Assumptions, assume
from mlp.review.cost.bill import bill, budget_limit
from mlp.review.cost.prices import load
from mlp.shared.errors import PlatformError
from tests.mlp.review.cost.builders import committed, entry, pool, program, table, usd_by_item

# What AWS asked in us-east-1 when this was written, so that a newer price list does not change the tests of sums.
LIST = table(
    eks={"cluster": 0.10, "cluster-extended-support": 0.60},
    ec2={"t3.large": 0.0832, "t3a.large": 0.0752, "m6i.large": 0.096, "g6.xlarge": 0.8048, "g5.xlarge": 1.006,
         "g6.12xlarge": 4.6016},
    ec2_spot={"t3.large": 0.03, "t3a.large": 0.02, "m6i.large": 0.04, "g6.xlarge": 0.40, "g5.xlarge": 0.50},
    ebs={"gp3": 0.08, "gp3-iops": 0.005, "gp3-throughput": 0.04},
    nat={"gateway": 0.045, "traffic": 0.045},
    vpc={"public-ipv4": 0.005, "interface-endpoint": 0.01, "interface-endpoint-traffic": 0.01},
    transfer={"internet": 0.09, "zones": 0.01},
    alb={"hours": 0.0225, "lcu": 0.008},
    rds_postgres={"db.t4g.micro": 0.016, "db.m7g.large": 0.168},
    rds={"gp3": 0.115, "backup": 0.095},
    s3={"standard": 0.023, "writes": 0.005, "reads": 0.0004},
    ecr={"storage": 0.10},
    kms={"key": 1.0, "requests": 0.03},
    secrets={"secret": 0.40, "requests": 0.05},
    logs={"ingestion": 0.50, "storage": 0.03, "delivery-to-s3": 0.25, "parquet": 0.03},
    cloudwatch={"alarm": 0.10},
    waf={"acl": 5.0, "rule": 1.0, "requests": 0.60},
    route53={"zone": 0.50, "queries": 0.40},
)  # fmt: skip
NOTHING = Assumptions(**dict.fromkeys(Assumptions.model_fields, 0))


def costs(*entries, assumed=NOTHING, prices=LIST):
    return usd_by_item(bill([program(*entries)], prices, assumed))


def unpriced(*entries, prices=LIST):
    return {one.what: one.reason for one in bill([program(*entries)], prices, NOTHING).unpriced}


def test_dev_costs_what_its_bill_by_hand_says():
    priced = bill(committed("dev"), LIST)
    logs = {key: usd for key, usd in usd_by_item(priced).items() if key[0] == "Logs"}
    assert {key: usd for key, usd in usd_by_item(priced).items() if key[0] != "Logs"} == {
        ("Cluster", "control plane"): 73.00,  # 730 h x 0.10
        ("Nodes", "core nodes"): 58.40,  # 2 x 730 h x 0.04, the dearest of three spot types
        ("Nodes", "core disks"): 8.00,  # 2 x 50 GB x 0.08
        ("Nodes", "gpu nodes"): 0.00,
        ("Database", "instance"): 11.68,  # 730 h x 0.016
        ("Database", "storage"): 2.30,  # 20 GB x 0.115
        ("Database", "backups"): 0.00,  # 20 GB are free
        ("Network", "public IPv4 addresses"): 3.65,  # 730 h x 0.005
        ("Network", "NAT gateways"): 32.85,  # 730 h x 0.045
        ("Network", "NAT traffic"): 2.25,  # 50 GB x 0.045
        ("Network", "traffic between zones"): 1.00,  # 50 GB x 2 ends x 0.01
        ("Network", "traffic to the internet"): 0.00,  # 100 GB are free
        ("Storage", "buckets"): 2.30,  # 100 GB x 0.023
        ("Storage", "requests that write"): 0.50,  # 100 x 0.005
        ("Storage", "requests that read"): 0.40,  # 1,000 x 0.0004
        ("Storage", "images"): 2.00,  # 20 GB x 0.10
        ("Storage", "volume of monitoring-release prometheus"): 0.80,  # 10 GB x 0.08
        ("Storage", "volume of monitoring-release alertmanager"): 0.08,  # 1 GB x 0.08
        ("Security", "encryption keys"): 1.00,
        ("Security", "secrets"): 3.20,  # 8 x 0.40
        ("Security", "requests to keys"): 0.30,  # 10 x 0.03
        ("Security", "requests for secrets"): 0.05,  # 1 x 0.05
    }
    assert logs.pop(("Logs", "alarms")) >= 0.20
    assert sum(logs.values()) == pytest.approx(0.20, abs=0.02)  # two logs of 0.2 GB x 0.50, kept for a week


def test_the_sum_is_the_sum_of_the_items():
    priced = bill(committed("prod"), LIST)
    assert priced.idle_usd == pytest.approx(sum(item.quantity * item.price.usd for item in priced.items))


def test_dev_keeps_to_its_goal_and_an_idle_gpu_costs_nothing():
    priced = bill(committed("dev"), load())
    assert priced.idle_usd <= 235
    assert [item.usd for item in priced.items if item.name.startswith("gpu")] == [0]


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_every_type_of_the_committed_stacks_is_priced_or_free_for_a_reason(stack):
    reasons = [one.reason for one in bill(committed(stack), load()).unpriced]
    assert not [reason for reason in reasons if "no rule" in reason]


def test_what_prod_cannot_price_is_reported():
    what = [one.what for one in bill(committed("prod"), load()).unpriced]
    assert what == ["Logs: flow logs as Parquet"]


def test_the_laptop_costs_nothing_and_says_so():
    priced = bill(committed("local"), load())
    assert priced.idle_usd == 0
    assert "costs nothing" in priced.note


def test_a_small_platform_costs_what_its_bill_by_hand_says():
    assumed = Assumptions(alb_lcus=2, nat_gb=10, internet_gb=150, zone_gb=0)
    ingress = {"alb.ingress.kubernetes.io/group.name": "all", "alb.ingress.kubernetes.io/scheme": "internet-facing"}
    plan = program(
        *pool("core", "m6i.large", capacity="ON_DEMAND", smallest=3),
        entry("aws:ec2/internetGateway:InternetGateway"),
        entry("aws:ec2/natGateway:NatGateway"),
        entry("aws:ec2/eip:Eip"),
        *(entry("aws:ec2/subnet:Subnet", zone, tags={"kubernetes.io/role/elb": "1"}) for zone in "ab"),
        entry("aws:ec2/subnet:Subnet", "private", tags={"kubernetes.io/role/internal-elb": "1"}),
        *(
            entry(
                "kubernetes:networking.k8s.io/v1:Ingress",
                name,
                metadata={"annotations": ingress},
                spec={"ingressClassName": "alb"},
            )
            for name in ("mlflow", "grafana")
        ),
        entry(
            "aws:rds/instance:Instance",
            engine="postgres",
            instanceClass="db.m7g.large",
            multiAz=True,
            storageType="gp3",
            allocatedStorage=100,
        ),
    )
    priced = bill([plan], LIST, assumed)
    assert usd_by_item(priced) == {
        ("Nodes", "core nodes"): 210.24,  # 3 x 730 h x 0.096
        ("Nodes", "core disks"): 12.00,  # 3 x 50 GB x 0.08
        ("Database", "instance"): 245.28,  # 2 x 730 h x 0.168
        ("Database", "storage"): 23.00,  # 2 x 100 GB x 0.115
        ("Database", "backups"): 0.00,
        ("Network", "NAT gateways"): 32.85,
        ("Network", "NAT traffic"): 0.45,
        ("Network", "public IPv4 addresses"): 10.95,  # the gateway's, and one in each of two zones: 3 x 730 h x 0.005
        ("Network", "traffic to the internet"): 4.50,  # 50 GB above the free 100
        ("Entrance", "load balancers"): 16.43,  # one for both services: 730 h x 0.0225 = 16.425
        ("Entrance", "load balancer capacity"): 11.68,  # 2 LCU x 730 h x 0.008
    }
    assert priced.idle_usd == pytest.approx(567.375)


def test_a_gpu_hour_is_reported_both_ways_with_the_disk_of_its_node():
    plan = program(*pool("gpu", "g6.xlarge", "g5.xlarge", volumeSize=200, throughput=500))
    disk = (200 * 0.08 + (500 - 125) * 0.04) / 730
    priced = bill([plan], LIST)
    assert [(one.instance_type, one.bought) for one in priced.nodes] == [("g6.xlarge", "spot"), ("g5.xlarge", "spot")]
    assert priced.nodes[0].spot_usd == pytest.approx(0.40 + disk)
    assert priced.nodes[0].on_demand_usd == pytest.approx(0.8048 + disk)
    assert priced.nodes[0].usd_per_gpu == pytest.approx(0.40 + disk)
    assert priced.idle_usd == 0


def test_a_node_with_several_gpus_shares_its_price_among_them():
    priced = bill([program(*pool("gpu", "g6.12xlarge", capacity="ON_DEMAND", volumeSize=0))], LIST)
    assert priced.nodes[0].usd_per_gpu == pytest.approx(4.6016 / 4)
    assert priced.nodes[0].spot_usd is None
    assert [one.what for one in priced.unpriced] == ["gpu nodes"]
    assert "ec2-spot/g6.12xlarge in us-east-1" in priced.unpriced[0].reason


@pytest.mark.parametrize("hosts", [(3, 1), (1, 3)], ids=["three workers", "one of three hosts"])
def test_a_training_job_costs_its_gpus_on_the_dearest_type_until_its_deadline(hosts):
    pods = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}}
    job = {
        "kind": "RayJob",
        "metadata": {"generateName": "mnist-"},
        "spec": {
            "activeDeadlineSeconds": 7200,
            "rayClusterSpec": {
                "headGroupSpec": {"template": {"spec": {"containers": [{}]}}},
                "workerGroupSpecs": [
                    {"groupName": "gpu", "replicas": hosts[0], "numOfHosts": hosts[1], "template": pods},
                ],
            },
        },
    }
    plan = program(*pool("gpu", "g6.xlarge", "g5.xlarge", volumeSize=0), outputs={"training_job": job, "other": "x"})
    [priced] = bill([plan], LIST).jobs
    assert (priced.name, priced.gpus) == ("mnist", 6)
    assert priced.usd_per_hour == pytest.approx(6 * 0.50)
    assert priced.usd_at_most == pytest.approx(6 * 0.50 * 2)


@pytest.mark.parametrize(
    ("version", "policy", "usd"),
    [("1.35", "STANDARD", 73), ("1.32", "STANDARD", 73), ("1.32", "EXTENDED", 438), ("1.32", None, 438)],
)
def test_extended_support_is_dearer_and_needs_an_old_version_and_leave(version, policy, usd):
    given = {"upgradePolicy": {"supportType": policy}} if policy else {}
    found = costs(entry("aws:eks/cluster:Cluster", version=version, **given))
    assert found["Cluster", "control plane"] == usd


def test_an_interface_endpoint_costs_in_each_zone_and_a_gateway_endpoint_nothing():
    endpoint = "aws:ec2/vpcEndpoint:VpcEndpoint"
    assert costs(
        entry(endpoint, "s3", vpcEndpointType="Gateway"),
        entry(endpoint, "sts", vpcEndpointType="Interface", subnetIds=["a", "b", "c"]),
        assumed=replace_assumptions(interface_endpoint_gb=100),
    ) == {("Network", "interface endpoints"): 21.90, ("Network", "traffic of interface endpoints"): 1.00}


def replace_assumptions(**values):
    return NOTHING.model_copy(update=values)


def test_logs_cost_when_they_are_written_and_as_long_as_they_are_kept():
    group = entry("aws:cloudwatch/logGroup:LogGroup", name="cluster", retentionInDays=90)
    control_plane = replace(group, inputs={"name": "/aws/eks/ml/cluster", "retentionInDays": 90})
    assumed = replace_assumptions(control_plane_log_gb=10)
    silent = entry("aws:eks/cluster:Cluster", version="1.35", enabledClusterLogTypes=[])
    talking = entry("aws:eks/cluster:Cluster", version="1.35", enabledClusterLogTypes=["audit"])
    logs = [("Logs", "log /aws/eks/ml/cluster"), ("Logs", "log /aws/eks/ml/cluster, kept")]
    assert not set(logs) & set(costs(silent, control_plane, assumed=assumed))
    found = costs(talking, control_plane, assumed=assumed)
    assert [found[key] for key in logs] == [5.00, 0.90]  # 10 GB x 0.50; 3 months of 10 GB x 0.03


def test_backups_cost_what_is_above_the_databases_own_size():
    database = entry("aws:rds/instance:Instance", engine="postgres", instanceClass="db.t4g.micro", storageType="gp3",
                     allocatedStorage=20)  # fmt: skip
    found = costs(database, assumed=replace_assumptions(database_backup_gb=120))
    assert found["Database", "backups"] == 9.50  # 100 GB x 0.095


def test_the_firewall_costs_by_rule_and_the_dns_zone_once():
    record = "aws:route53/record:Record"
    assert costs(
        entry("aws:wafv2/webAcl:WebAcl", rules=[{}, {}]), *(entry(record, name, zoneId="Z1") for name in "abc")
    ) == {
        ("Entrance", "web firewall"): 5.00,
        ("Entrance", "web firewall rules"): 2.00,
        ("Entrance", "web firewall requests"): 0.00,
        ("Entrance", "DNS zone"): 0.50,
        ("Entrance", "DNS queries"): 0.00,
    }


STORAGE_CLASS = entry(
    "kubernetes:storage.k8s.io/v1:StorageClass",
    metadata={"name": "gp3", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    provisioner="ebs.csi.aws.com",
    parameters={"type": "gp3"},
)


def claim(size, **more):
    return {"spec": {"resources": {"requests": {"storage": size}}, **more}}


@pytest.mark.parametrize(
    ("values", "usd"),
    [
        ({"prometheus": {"storageSpec": {"volumeClaimTemplate": claim("50Gi", storageClassName="gp3")}}}, 4.00),
        ({"alertmanager": {"replicas": 2, "storage": {"volumeClaimTemplate": claim("1Gi")}}}, 0.16),
        ({"redis": {"persistence": {"enabled": True, "size": "10Gi"}}}, 0.80),
        ({"redis": {"persistence": {"enabled": False, "size": "10Gi"}}}, 0.00),
        ({"workers": {"replicas": 3, "volumeClaimTemplates": [claim("512Mi"), claim("512Mi")]}}, 0.24),
    ],
    ids=["claim", "replicas", "persistence", "no persistence", "templates"],
)
def test_the_disks_that_releases_ask_for_are_priced(values, usd):
    release = entry("kubernetes:helm.sh/v3:Release", "monitoring", values=values)
    assert sum(costs(release, STORAGE_CLASS).values()) == pytest.approx(usd)


@pytest.mark.parametrize("rule", PriceRule)
def test_what_names_a_way_of_counting_is_counted_or_reported(rule):
    type_ = next(type_ for type_, facts in TYPES.items() if facts.price is rule)
    priced = bill([program(entry(type_, vpcEndpointType="Interface", subnetIds=["subnet-1"]))], LIST)
    assert priced.items or priced.unpriced
    assert priced.free == bill([program()], LIST).free


def test_a_disk_that_is_not_known_is_reported():
    def release(size):
        return entry("kubernetes:helm.sh/v3:Release", "data", values={"redis": {"volumeClaimTemplate": claim(size)}})

    assert unpriced(release("100Gi")) == {"volume of data redis": "its storage class is not planned"}
    assert unpriced(release("many"), STORAGE_CLASS) == {"volume of data redis": "size 'many' is not understood"}


PUBLIC_INGRESS = entry(
    "kubernetes:networking.k8s.io/v1:Ingress",
    metadata={"annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"}},
    spec={"ingressClassName": "alb"},
)


@pytest.mark.parametrize(
    ("resource", "what", "why"),
    [
        (entry("aws:fsx/lustre:FileSystem"), "aws:fsx/lustre:FileSystem", "no rule says what it costs"),
        (entry("gcp:storage:Bucket"), "gcp:storage:Bucket", "no rule says what it costs"),
        (entry("aws:ec2/flowLog:FlowLog", "all", logDestinationType="firehose"), "flow log all", "go to S3"),
        (entry("aws:cloudwatch/logGroup:LogGroup", name="x"), "log x", "kept for ever"),
        (entry("aws:cloudwatch/metricAlarm:MetricAlarm", "cpu", period=10), "alarm cpu", "only alarms of one metric"),
        (entry("aws:rds/instance:Instance", "db", engine="mysql"), "database db", "mysql on gp2"),
        (entry("aws:eks/nodeGroup:NodeGroup", "core", instanceTypes=["t3.large"]), "disks of core nodes", "no launch"),
        (entry("kubernetes:networking.k8s.io/v1:Ingress", "web", spec={}), "ingress web", "class alb"),
        (PUBLIC_INGRESS, "addresses of the load balancer", "no subnet of the plan has the tag kubernetes.io/role/elb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_table_does_not_have_is_reported_and_never_nothing(resource, what, why):
    assert why in unpriced(resource)[what]


def test_a_disk_of_a_kind_without_price_is_reported():
    assert (
        "no price of ebs/io2 in us-east-1"
        in unpriced(*pool("core", "t3.large", smallest=1, volumeType="io2"))["Nodes: core disks"]
    )


def test_a_pool_that_is_empty_has_no_price_either_where_its_disks_have_none():
    priced = bill([program(*pool("gpu", "g6.xlarge", volumeType="io2"))], LIST)
    assert priced.nodes[0].usd is None
    assert [one.what for one in priced.unpriced] == ["Nodes: gpu disks"]


def test_a_region_without_prices_is_reported_item_by_item():
    plan = program(entry("aws:ec2/natGateway:NatGateway"), region="eu-west-1")
    priced = bill([plan], LIST)
    assert priced.items == ()
    assert [one.what for one in priced.unpriced] == ["Network: NAT gateways", "Network: NAT traffic"]
    assert "no price of nat/gateway in eu-west-1; `mlp cost --refresh --region eu-west-1`" in priced.unpriced[0].reason


def test_a_plan_without_a_region_cannot_be_priced():
    with pytest.raises(PlatformError, match="names no AWS region"):
        bill([ProgramPlan(program="platform", stack="test", resources={}, outputs={})], LIST)


def test_a_component_costs_nothing_by_itself():
    assert bill([program(entry("acme:storage:Lake", custom=False))], LIST).unpriced == ()


def test_the_budget_is_what_the_plan_sets():
    assert budget_limit(committed("dev")[0]) == 300
    assert budget_limit(program()) is None
    assert bill(committed("dev"), LIST).budget_usd == 300


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["nat=3"], "nat is not assumed; what is: nat_gb, internet_gb, "),
        (["nat_gb"], "--assume nat_gb has no number; write nat_gb=NUMBER"),
        (["nat_gb=much"], "--assume nat_gb=much: Input should be a valid number"),
        (["nat_gb=-1"], "--assume nat_gb=-1: Input should be greater than or equal to 0"),
        (["nat_gb=inf"], "--assume nat_gb=inf: Input should be a finite number"),
        (["nat_gb=1", "nat_gb=2"], "--assume nat_gb is given twice"),
    ],
)
def test_an_assumption_that_cannot_be_is_refused(given, expected):
    with pytest.raises(PlatformError) as error:
        assume(given)
    assert expected in str(error.value)


def test_an_assumption_of_the_users_own_takes_the_place_of_ours():
    assert assume(["nat_gb=200"]) == Assumptions(nat_gb=200)
    more = bill(committed("dev"), LIST, assume(["nat_gb=250"])).idle_usd - bill(committed("dev"), LIST).idle_usd
    assert more == pytest.approx(200 * 0.045)
