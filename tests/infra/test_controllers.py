"""Controllers: what each is told, and with which rights it runs."""

from ipaddress import IPv4Network

import pytest

from infra.cluster.namespaces import IngressRule, Namespace, NamespaceArgs, Peer, network_policies
from infra.controllers.controllers import Controllers, ControllersArgs, expander_priorities
from infra.settings.settings import NodePoolSettings
from tests.builders import ancestors, deploy, inputs_of, wanted
from tests.infra.builders import ENVIRONMENT

CORE = NodePoolSettings(instance_types=("m7i.large",), min_size=2, max_size=4)
GPU = NodePoolSettings(gpu=True, instance_types=("g6.xlarge", "g5.xlarge"), capacity="spot", min_size=0, max_size=5)


def deploy_controllers(replicas=2):
    args = ControllersArgs(
        environment=ENVIRONMENT,
        kubernetes_version="1.35",
        vpc_id="vpc-1",
        pools={"core": CORE, "gpu": GPU, "gpu-on-demand": GPU.model_copy(update={"capacity": "on_demand"})},
        scaling_groups={name: f"eks-nodes-{name}" for name in ("core", "gpu", "gpu-on-demand")},
        replicas=replicas,
        load_balancer_role_arn="arn:load-balancer",
        autoscaler_role_arn="arn:autoscaler",
        secrets_role_arn="arn:secrets",
        webhook_callers=(Peer(cidr=IPv4Network("10.0.0.0/16")),),
        needs=[],
    )
    return deploy(lambda: Controllers("controllers", args))


@pytest.fixture(scope="module")
def values():
    return {one["chart"]: one["values"] for one in inputs_of(deploy_controllers(), RELEASE).values()}


RELEASE = "kubernetes:helm.sh/v3:Release"


def test_every_controller_that_asks_aws_has_its_role(values):
    role = "eks.amazonaws.com/role-arn"
    assert values["aws-load-balancer-controller"]["serviceAccount"]["annotations"] == {role: "arn:load-balancer"}
    assert values["cluster-autoscaler"]["rbac"]["serviceAccount"]["annotations"] == {role: "arn:autoscaler"}
    assert values["external-secrets"]["serviceAccount"]["annotations"] == {role: "arn:secrets"}


def test_the_load_balancer_controller_asks_no_node_and_blocks_no_service(values):
    told = values["aws-load-balancer-controller"]
    assert (told["clusterName"], told["region"], told["vpcId"]) == ("ml-platform-test", "us-east-1", "vpc-1")
    assert told["enableServiceMutatorWebhook"] is False
    assert told["enableShield"] is told["enableWaf"] is False


def test_the_autoscaler_is_of_the_clusters_version_and_tries_spot_first(values):
    told = values["cluster-autoscaler"]
    assert told["image"] == {"tag": "v1.35.0"}
    assert told["extraArgs"]["expander"].startswith("priority")
    assert told["expanderPriorities"] == {
        "50": ["^eks-nodes-gpu-[0-9a-f]{7}-.*"],
        "10": ["^eks-nodes-core-[0-9a-f]{7}-.*", "^eks-nodes-gpu-on-demand-[0-9a-f]{7}-.*"],
    }


def test_a_pool_is_not_taken_for_one_whose_name_begins_with_its_own():
    import re

    [pattern] = expander_priorities({"gpu": GPU})["50"]
    assert re.match(pattern, "eks-nodes-gpu-33aa481-a0b1c2d3-e4f5")
    assert not re.match(pattern, "eks-nodes-gpu-on-demand-33aa481-a0b1c2d3-e4f5")


def test_the_autoscaler_keeps_the_sizes_of_the_pools_and_knows_no_other_groups(values):
    told = values["cluster-autoscaler"]
    assert told["autoscalingGroups"] == [
        {"name": "eks-nodes-core", "minSize": 2, "maxSize": 4},
        {"name": "eks-nodes-gpu", "minSize": 0, "maxSize": 5},
        {"name": "eks-nodes-gpu-on-demand", "minSize": 0, "maxSize": 5},
    ]
    assert told["extraArgs"]["enforce-node-group-min-size"] is True
    assert "autoDiscovery" not in told


@pytest.mark.parametrize(
    ("chart", "key"),
    [("aws-load-balancer-controller", "podSecurityContext"), ("cluster-autoscaler", "securityContext")],
)
def test_the_users_of_controllers_have_numbers(values, chart, key):
    assert values[chart][key]["runAsNonRoot"]
    assert values[chart][key]["runAsUser"] == values[chart][key]["fsGroup"] == 65534


def test_the_gpu_plugin_runs_where_gpus_are_alone(values):
    told = values["nvidia-device-plugin"]
    assert told["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert told["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(("replicas", "guarded"), [(1, False), (2, True)])
def test_one_copy_alone_is_not_kept_from_being_moved(replicas, guarded):
    releases = inputs_of(deploy_controllers(replicas), RELEASE).values()
    told = {one["chart"]: one["values"] for one in releases}
    assert bool(told["aws-load-balancer-controller"]["podDisruptionBudget"]) is guarded
    assert ("podDisruptionBudget" in told["external-secrets"]) is guarded


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_webhook_without_which_no_secret_is_made_or_deleted_outlives_a_node(replicas):
    releases = inputs_of(deploy_controllers(replicas), RELEASE).values()
    [webhook] = [one["values"]["webhook"] for one in releases if one["chart"] == "external-secrets"]
    assert webhook["replicaCount"] == max(2, replicas)
    assert webhook["podDisruptionBudget"] == {"enabled": True, "minAvailable": 1}
    assert [one["topologyKey"] for one in webhook["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]


def test_the_operator_of_secrets_makes_tokens_of_its_own_account_alone(values):
    assert values["external-secrets"]["rbac"] == {"serviceAccountTokenCreate": False}
    deployment = deploy_controllers()
    [role] = inputs_of(deployment, "kubernetes:rbac.authorization.k8s.io/v1:Role").values()
    [rule] = role["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["serviceaccounts/token"], ["external-secrets"])
    [store] = wanted(deployment, "kubernetes:external-secrets.io/v1:ClusterSecretStore").values()
    [binding] = wanted(deployment, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").values()
    assert binding.urn in ancestors(deployment, store.urn)


def test_the_secret_store_reads_as_the_operators_own_account():
    [store] = inputs_of(deploy_controllers(), "kubernetes:external-secrets.io/v1:ClusterSecretStore").values()
    assert store["spec"]["provider"]["aws"] == {
        "service": "SecretsManager",
        "region": "us-east-1",
        "auth": {"jwt": {"serviceAccountRef": {"name": "external-secrets", "namespace": "external-secrets"}}},
    }


def test_classes_of_pods_are_ordered_and_none_is_the_default():
    classes = {
        one["metadata"]["name"]: one
        for one in inputs_of(deploy_controllers(), "kubernetes:scheduling.k8s.io/v1:PriorityClass").values()
    }
    values = [classes[name]["value"] for name in ("platform-system", "platform-service", "training")]
    assert values == sorted(values, reverse=True)
    assert not any(one["globalDefault"] for one in classes.values())


def test_a_namespace_is_closed_but_for_its_ingress_rules():
    rule = IngressRule(
        name="clients",
        peers=(Peer(namespace="training"), Peer(cidr=IPv4Network("10.0.192.0/20"))),
        ports=(5000,),
        pods={"app": "server"},
    )
    closed, opened = network_policies([rule])
    assert closed["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert opened == {
        "name": "admit-clients",
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "training"}}},
                        {"ipBlock": {"cidr": "10.0.192.0/20"}},
                    ],
                    "ports": [{"protocol": "TCP", "port": 5000}],
                }
            ],
        },
    }


def test_an_ingress_rule_without_peers_admits_nobody():
    assert [one["name"] for one in network_policies([IngressRule(name="people", peers=(), ports=(80,))])] == [
        "within-the-namespace"
    ]


def test_a_namespace_bounds_what_its_pods_ask_for():
    args = NamespaceArgs(name="jobs", pod_security="baseline", quota={"requests.nvidia.com/gpu": "4"})
    deployment = deploy(lambda: Namespace("jobs", args))
    [quota] = inputs_of(deployment, "kubernetes:core/v1:ResourceQuota").values()
    assert quota["spec"] == {"hard": {"requests.nvidia.com/gpu": "4"}}
    assert quota["metadata"]["namespace"] == "jobs"
