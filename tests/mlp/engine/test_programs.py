"""The committed programs with their committed stack files, whole, against the recording cloud."""

import json
import runpy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pulumi_eks as eks
import pytest
import yaml

from infra.data.image import REPOSITORY_FROM_PROGRAM
from infra.facts.kubernetes_versions import TABLE_DATE
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_declaration, run_program
from mlp.engine.eks_component import TYPE, VERSION
from mlp.engine.programs import PLATFORM, WORKLOADS, Program
from mlp.engine.values import Secret, revealed
from mlp.plan import planning
from mlp.plan.planned import program_plan
from mlp.review.changes.dangers import dangers
from mlp.review.changes.differences import compare
from mlp.review.policy.verdict import context_of, verdict
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError
from tests.builders import ancestors, changed, deploy, inputs_of, planned, wanted

NO_BUDGET_EMAILS = "budget.emails is empty: nobody will be told when the budget is exceeded"


@pytest.fixture(scope="module", params=["dev", "prod", "local"])
def any_plan(request):
    return planned(request.param)


@pytest.fixture(scope="module")
def prod():
    return planned("prod")


def test_every_committed_stack_runs_and_holds_the_rules(any_plan):
    assert not verdict(any_plan, context_of(any_plan, today=TABLE_DATE)).broken
    warnings = [message for one in any_plan for message in one.warnings]
    assert warnings == ([] if any_plan[0].stack == "local" else [NO_BUDGET_EMAILS]), (
        "all that is left to the user to choose"
    )


def test_production_has_what_the_platform_promises(prod):
    counts = planning.as_data(prod)["programs"]["platform"]["counts"]
    assert counts["aws:ec2/vpc:Vpc"] == 1
    assert counts["aws:ec2/subnet:Subnet"] == 9
    assert counts["aws:ec2/natGateway:NatGateway"] == 3
    assert counts["aws:ec2/vpcEndpoint:VpcEndpoint"] == 1
    assert counts["aws:ec2/flowLog:FlowLog"] == 1
    assert counts["aws:eks/cluster:Cluster"] == 1
    assert counts["aws:rds/instance:Instance"] == 1
    assert counts["aws:eks/addon:Addon"] == 6
    assert counts["aws:s3/bucket:Bucket"] == 3
    assert counts["aws:acm/certificate:Certificate"] == 1
    assert counts["aws:budgets/budget:Budget"] == 1
    assert counts["aws:ecr/repository:Repository"] == 2
    assert counts["kubernetes:helm.sh/v3:Release"] >= 7


def test_the_laptops_stack_has_no_release_and_no_workloads_program():
    [platform] = planned("local")
    assert not platform.of_type("kubernetes:helm.sh/v3:Release")


@pytest.mark.parametrize("stack", WORKLOADS.stacks())
def test_a_stack_writes_for_airflow_where_it_runs_airflow(stack):
    platform, workloads = planned(stack)
    runs = "airflow" in platform.outputs["service_urls"]
    assert bool(workloads.of_type("mlplatform:pipelines:Pipelines")) is runs


def test_nothing_of_airflow_is_made_where_it_is_off(any_plan):
    assert [urn for one in any_plan for urn in one.resources if "airflow" in urn.rpartition("::")[2]] == []


def test_no_role_of_monitoring_is_made_where_it_is_off():
    platform = run_program(changed(PLATFORM, services={"monitoring": {"enabled": False}}), "dev", RecordingCloud())
    names = [urn.rpartition("::")[2] for urn in platform.resources]
    assert [name for name in names if name.startswith(("monitoring", "grafana", "alertmanager"))] == []


def test_every_aws_resource_is_made_by_the_stacks_own_provider(any_plan):
    for deployment in any_plan:
        for one in deployment.resources.values():
            if one.wanted.custom and one.wanted.type.startswith(("aws:", "kubernetes:")):
                assert one.wanted.provider, one.wanted.urn


def test_workloads_name_the_image_by_digest_and_the_tracking_server_of_the_platform(prod):
    platform, workloads = prod
    image = workloads.outputs["training_image"]
    repository = platform.outputs["repository_urls"]["training"]
    assert image.startswith(f"{repository}@sha256:")
    job = workloads.outputs["training_job"]
    pods = [
        job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"],
        job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"],
    ]
    for pod in pods:
        [container] = pod["containers"]
        assert container["image"] == image
        variables = {one["name"]: one for one in container["env"]}
        assert variables["MLFLOW_TRACKING_URI"]["value"] == platform.outputs["service_urls"]["mlflow"]
        assert variables["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "mlflow-login-1"


def test_the_job_asks_for_no_more_than_a_node_of_the_pool_has(prod):
    job = prod[1].outputs["training_job"]
    [container] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    # g6.xlarge and g5.xlarge leave 3920m CPU and 14162Mi to pods.
    assert int(container["resources"]["limits"]["cpu"]) <= 3
    assert int(container["resources"]["limits"]["memory"].removesuffix("Gi")) <= 13


def values_of(deployment, chart):
    [values] = [
        one["values"]
        for one in inputs_of(deployment, "kubernetes:helm.sh/v3:Release").values()
        if one["chart"] == chart
    ]
    return values


def test_the_tracking_server_runs_our_image_by_digest_behind_a_login(prod):
    values = values_of(prod[0], "mlflow")
    assert values["image"]["digest"].startswith("sha256:")
    assert values["auth"]["enabled"]
    assert values["backendStore"]["postgres"]["host"] == prod[0].outputs["database_host"]


@pytest.fixture(scope="module")
def dev():
    return planned("dev")


def test_what_runs_in_the_cluster_goes_before_its_volumes_nodes_and_ways_out(dev):
    platform = dev[0]
    outlive = {
        wanted(platform, "aws:eks/addon:Addon")["addons-aws-ebs-csi-driver"].urn,
        wanted(platform, "aws:eks/nodeGroup:NodeGroup")["nodes-core"].urn,
        wanted(platform, "aws:eks/cluster:Cluster")["cluster-eksCluster"].urn,
        *(one.urn for name, one in wanted(platform, "aws:ec2/route:Route").items() if "nat" in name),
        *(one.wanted.urn for one in platform.of_type("aws:ec2/internetGateway:InternetGateway")),
        *(one.wanted.urn for one in platform.of_type("aws:ec2/vpc:Vpc")),
    }
    running = [
        urn
        for urn, one in platform.resources.items()
        if one.wanted.type.startswith("kubernetes:")
        and not one.wanted.type.endswith((":PriorityClass", ":ClusterRole"))  # nothing of theirs runs on a node
    ]
    assert len(running) >= 20
    assert [urn for urn in running if not outlive <= ancestors(platform, urn)] == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_guard_goes_before_all_else_and_is_protected_with_the_data(stack):
    platform = planned(stack)[0]
    guard = wanted(platform, "random:index/randomId:RandomId")["guard"]
    assert guard.protect is (stack == "prod")
    made = {urn for urn, one in platform.resources.items() if one.wanted.custom}
    free = made - ancestors(platform, guard.urn) - {guard.urn}
    free -= {urn for urn in made if "$" not in urn and "pulumi:providers:" in urn}
    # The children of pulumi-eks' component can be made to go after nothing of ours, and refuse by themselves.
    assert all("eks:index:Cluster$" in urn and platform.resources[urn].wanted.protect is guard.protect for urn in free)


def test_nodes_and_database_go_before_the_network_they_stand_in(dev):
    platform = dev[0]
    subnets = {name: one.urn for name, one in wanted(platform, "aws:ec2/subnet:Subnet").items()}
    for type_, kind in (("aws:eks/nodeGroup:NodeGroup", "private"), ("aws:rds/instance:Instance", "isolated")):
        for one in wanted(platform, type_).values():
            own = {urn for name, urn in subnets.items() if kind in name}
            assert own <= ancestors(platform, one.urn)


SECRET = "aws:secretsmanager/secret:Secret"
HOLDS_DATA = {
    "aws:kms/key:Key",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
}


def test_production_refuses_to_destroy_what_holds_data_and_development_goes_clean(dev, prod):
    for platform, kept in ((dev[0], False), (prod[0], True)):
        protected = {
            one.wanted.type
            for urn, one in platform.resources.items()
            if one.wanted.protect and "eks:index:Cluster" not in urn and one.wanted.name != "guard"
        }
        assert protected == (HOLDS_DATA if kept else set())
        assert all(one["forceDestroy"] is not kept for one in inputs_of(platform, "aws:s3/bucket:Bucket").values())
        assert all(
            one["forceDelete"] is not kept for one in inputs_of(platform, "aws:ecr/repository:Repository").values()
        )
        [control_plane] = inputs_of(platform, "aws:eks/cluster:Cluster").values()
        assert control_plane["deletionProtection"] is kept
        [database] = inputs_of(platform, "aws:rds/instance:Instance").values()
        assert (database["deletionProtection"], database["skipFinalSnapshot"]) == (kept, not kept)
        windows = {one["recoveryWindowInDays"] for one in inputs_of(platform, SECRET).values()}
        assert windows == {30 if kept else 0}


def test_no_secret_is_in_a_plan(any_plan):
    text = json.dumps(planning.as_data(any_plan))
    secrets = [
        one.created.outputs["result"].value
        for deployment in any_plan
        for one in deployment.of_type("random:index/randomPassword:RandomPassword")
    ]
    assert secrets
    assert not [secret for secret in secrets if secret in text]
    assert isinstance(any_plan[0].outputs["kubeconfig"], Secret)


def test_a_plan_is_free_of_this_machines_paths(any_plan):
    assert str(PLATFORM.folder) not in json.dumps(planning.as_data(any_plan))


@pytest.mark.parametrize("program", [PLATFORM, WORKLOADS], ids=["platform", "workloads"])
def test_a_program_finds_its_modules_from_its_own_folder(program, monkeypatch):
    monkeypatch.chdir(program.entry.parent)
    platform = planned("dev")[0]
    deployment = run_declaration(
        lambda: runpy.run_path("__main__.py", run_name="__main__"),
        RecordingCloud(),
        project=program.project,
        stack_name="dev",
        config=program.config("dev"),
        references={platform.reference: platform.outputs},
    )
    assert deployment.outputs


def test_nothing_the_programs_are_made_of_knows_of_the_offline_engine():
    repository = PLATFORM.folder
    files = [*(repository / "infra").rglob("*.py"), PLATFORM.entry, WORKLOADS.entry]
    assert not [str(path) for path in files if "stacks." in path.read_text()]


def cluster(**changes):
    def declare():
        args: dict[str, Any] = {
            "skip_default_node_group": True,
            "skip_default_security_groups": True,
            "service_role": aws.iam.Role("control-plane", assume_role_policy="{}"),
            "private_subnet_ids": ["subnet-1"],
            "name": "c",
        }
        eks.Cluster("cluster", **(args | changes))

    return declare


def test_the_expanded_component_is_that_of_the_pinned_version():
    assert version("pulumi-eks") == VERSION


def test_the_network_addon_gets_the_values_that_the_component_sends():
    options = {"enable_network_policy": True, "enable_prefix_delegation": True, "log_level": "INFO"}
    deployment = deploy(cluster(vpc_cni_options=options))
    addon = wanted(deployment, "aws:eks/addon:Addon")["cluster-vpc-cni"]
    values = json.loads(addon.inputs["configurationValues"])
    assert values["enableNetworkPolicy"] == "true"
    assert values["init"] == {"env": {"DISABLE_TCP_EARLY_DEMUX": "false"}}
    assert {key: values["env"][key] for key in ("ENABLE_PREFIX_DELEGATION", "AWS_VPC_K8S_CNI_LOGLEVEL")} == {
        "ENABLE_PREFIX_DELEGATION": "true",
        "AWS_VPC_K8S_CNI_LOGLEVEL": "INFO",
    }
    assert len(values["env"]) == 11


def test_what_the_component_ignores_on_the_control_plane_is_ignored_here():
    [control_plane] = wanted(deploy(cluster()), "aws:eks/cluster:Cluster").values()
    assert control_plane.ignore_changes == (
        "accessConfig.bootstrapClusterCreatorAdminPermissions",
        "bootstrapSelfManagedAddons",
    )


def test_the_cluster_component_is_expanded_into_what_pulumi_eks_registers():
    deployment = deploy(cluster(create_oidc_provider=True, version="1.35"))
    made = {(one.wanted.type, one.wanted.name) for one in deployment.resources.values()}
    assert made >= {
        ("aws:eks/cluster:Cluster", "cluster-eksCluster"),
        ("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "cluster-oidcProvider"),
        ("aws:eks/addon:Addon", "cluster-vpc-cni"),
        ("aws:eks/addon:Addon", "cluster-kube-proxy"),
    }
    [control_plane] = wanted(deployment, "aws:eks/cluster:Cluster").values()
    [role] = deployment.of_type("aws:iam/role:Role")
    assert role.created
    assert revealed(control_plane.inputs)["version"] == "1.35"
    assert control_plane.inputs["roleArn"] == role.created.outputs["arn"]
    [component] = wanted(deployment, TYPE).values()
    assert control_plane.parent == component.urn


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fargate": True}, "argument fargate is not expanded offline"),
        (
            {"skip_default_node_group": None},
            "its default node group, security groups and service role are not expanded",
        ),
        ({"service_role": None}, "its default node group, security groups and service role are not expanded"),
        ({"vpc_cni_options": {"eni_mtu": 1500}}, "option eniMtu of vpcCniOptions is not expanded offline"),
    ],
    ids=["unknown argument", "default nodes", "default role", "unknown option"],
)
def test_what_the_expansion_does_not_cover_is_refused(changes, message):
    with pytest.raises(PlatformError, match=message):
        deploy(cluster(**changes))


def test_every_committed_program_has_an_entry_file():
    assert [Path(one.entry).name for one in (PLATFORM, WORKLOADS)] == ["__main__.py", "__main__.py"]


def test_no_input_holds_a_path_of_the_machine(any_plan):
    for deployment in any_plan:
        for one in deployment.resources.values():
            assert str(REPOSITORY) not in json.dumps(revealed(one.wanted.inputs), default=str), one.wanted.urn
        assert str(REPOSITORY) not in json.dumps(revealed(deployment.outputs), default=str)


@pytest.mark.parametrize("program", [PLATFORM, WORKLOADS], ids=lambda program: program.label)
def test_images_are_built_from_the_repository_as_seen_from_the_program(program):
    assert (program.entry.parent / REPOSITORY_FROM_PROGRAM).resolve() == REPOSITORY
    [*images] = wanted(planned("prod")[0 if program is PLATFORM else 1], "docker-build:index:Image").values()
    assert images
    for image in images:
        assert (program.entry.parent / image.inputs["dockerfile"]["location"]).is_file()


@pytest.fixture
def changed_dev(tmp_path):
    """The platform program with a dev stack file that a test changes."""

    def change(**settings):
        content = yaml.safe_load((PLATFORM.folder / "Pulumi.dev.yaml").read_text())
        content["config"]["ml-platform:settings"] |= settings
        (tmp_path / "Pulumi.yaml").write_text(f"name: ml-platform\nmain: {PLATFORM.entry.parent}\n")
        (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(content))
        return run_program(Program(label="platform", folder=tmp_path), "dev", RecordingCloud())

    return change


def test_a_gpu_pool_that_costs_while_idle_breaks_a_rule_in_the_whole_program(changed_dev):
    core = {"instance_types": ["m7i.large"], "min_size": 2, "max_size": 2}
    gpu = {"instance_types": ["g6.xlarge"], "capacity": "on_demand", "min_size": 1, "max_size": 2, "gpu": True}
    changed = [changed_dev(node_pools={"core": core, "gpu": gpu})]
    broken = verdict(changed, context_of(changed, today=TABLE_DATE)).judgement.violations
    assert {violation.rule for violation in broken} == {"gpu-pools-free-when-idle", "gpu-pools-on-spot"}


def test_another_disk_of_a_pool_is_another_template_and_rolls_its_nodes(changed_dev, dev):
    settings = json.loads(PLATFORM.config("dev").values["ml-platform:settings"])
    pools = settings["node_pools"] | {"gpu": settings["node_pools"]["gpu"] | {"disk_gib": 300}}
    changes = compare([program_plan(dev[0])], [program_plan(changed_dev(node_pools=pools))])
    changed = {one.entry.name: {field.path for field in one.fields} for one in changes[0].resources}
    assert changed["nodes-gpu"] >= {"launchTemplate.version"}
    assert any("EKS replaces every node of the pool, 33 % of them" in one.message for one in dangers(changes))


def test_workloads_on_a_platform_without_services_say_what_to_do(changed_dev):
    platform = changed_dev(services={"enabled": False})
    references = {platform.reference: platform.outputs}
    with pytest.raises(PlatformError, match=r"runs no services \(services.enabled is false\).*turn the services on"):
        run_program(WORKLOADS, "dev", RecordingCloud(), references=references)


def test_a_stack_file_with_three_faults_is_refused_with_all_of_them(changed_dev):
    with pytest.raises(PlatformError) as raised:
        changed_dev(region="nowhere", storage={"noncurrent_days": 0}, databse={})
    message = str(raised.value)
    assert "until 3 settings are corrected" in message
    for part in ("settings.region", "settings.storage.noncurrent_days", "settings.databse"):
        assert f"ml-platform:{part}: " in message


def test_what_uses_the_cluster_depends_on_the_control_plane_itself(prod):
    [control_plane] = wanted(prod[0], "aws:eks/cluster:Cluster").values()
    groups = wanted(prod[0], "aws:eks/nodeGroup:NodeGroup").values()
    assert groups
    assert all(control_plane.urn in group.dependencies for group in groups)
    [oidc] = wanted(prod[0], "aws:iam/openIdConnectProvider:OpenIdConnectProvider").values()
    assert oidc.urn in wanted(prod[0], "aws:iam/role:Role")["mlflow-identity-role"].dependencies
