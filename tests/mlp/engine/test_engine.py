import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from infra.settings.settings import PlatformSettings
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_declaration, run_program
from mlp.engine.programs import PLATFORM, WORKLOADS, Program, StackConfig
from mlp.engine.values import ResourceReference, Secret, from_wire, revealed, shown, to_wire
from mlp.shared.errors import PlatformError
from tests.builders import deploy, inputs_of, wanted


def test_a_resource_is_recorded_with_inputs_dependencies_and_provider():
    def declare():
        provider = aws.Provider("aws", region="eu-west-1")
        on_aws = pulumi.ResourceOptions(provider=provider)
        vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=on_aws)
        protected = pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(protect=True))
        aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/24", opts=protected)

    deployment = deploy(declare)
    subnet = wanted(deployment, "aws:ec2/subnet:Subnet")["subnet"]
    [vpc] = deployment.of_type("aws:ec2/vpc:Vpc")
    assert vpc.created
    assert subnet.inputs == {"vpcId": vpc.created.id, "cidrBlock": "10.0.0.0/24"}
    assert subnet.dependencies == (vpc.wanted.urn,)
    assert subnet.provider == "urn:pulumi:test::ml-platform::pulumi:providers:aws::aws"
    assert subnet.protect
    assert not vpc.wanted.protect
    assert ":eu-west-1:" in vpc.created.outputs["arn"]


def test_urns_carry_the_types_of_all_ancestors_as_pulumis_do():
    class Outer(pulumi.ComponentResource):
        def __init__(self):
            super().__init__("test:index:Outer", "outer")
            inner = pulumi.ComponentResource("test:index:Inner", "inner", opts=pulumi.ResourceOptions(parent=self))
            random.RandomId("id", byte_length=4, opts=pulumi.ResourceOptions(parent=inner))

    [identifier] = wanted(deploy(Outer), "random:index/randomId:RandomId").values()
    assert identifier.urn == (
        "urn:pulumi:test::ml-platform::test:index:Outer$test:index:Inner$random:index/randomId:RandomId::id"
    )


def test_two_runs_give_the_same_deployment():
    first, second = (run_program(PLATFORM, "prod", RecordingCloud()) for _ in range(2))
    assert first == second
    sources = [found for one in first.resources.values() for found in one.sources.values()]
    assert any(len(found) > 1 for found in sources)
    assert all(list(found) == sorted(found) for found in sources)  # a set's order would differ now and then


def test_a_secret_stays_secret_through_the_engine():
    def declare():
        password = random.RandomPassword("password", length=20)
        pulumi.export("login", pulumi.Output.format("admin:{0}", password.result))
        pulumi.export("length", password.length)

    outputs = deploy(declare).outputs
    assert isinstance(outputs["login"], Secret)
    assert len(outputs["login"].value) == len("admin:") + 20
    assert outputs["length"] == 20


def test_an_unknown_type_is_named_with_the_file_that_should_know_it():
    with pytest.raises(
        PlatformError, match=r"aws:sqs/queue:Queue is no known resource type; add its row to mlp/engine/types/sqs\.py"
    ):
        deploy(lambda: aws.sqs.Queue("queue"))


def test_an_unknown_lookup_is_named():
    with pytest.raises(
        PlatformError,
        match=r"aws:ec2/getAmi:getAmi is no known lookup; add its answer to mlp/engine/clouds/recording\.py",
    ):
        deploy(lambda: pulumi.export("ami", aws.ec2.get_ami_output(owners=["amazon"]).id))


def test_one_name_for_two_resources_is_refused():
    def declare():
        random.RandomId("twice", byte_length=4)
        random.RandomId("twice", byte_length=4)

    with pytest.raises(PlatformError, match=r"random:index/randomId:RandomId twice is registered twice"):
        deploy(declare)


def test_a_stack_that_was_not_run_cannot_be_read():
    with pytest.raises(PlatformError, match="stack organization/ml-platform/dev has not been run"):
        run_program(WORKLOADS, "dev", RecordingCloud())


def test_an_output_that_the_other_stack_lacks_fails_by_its_name():
    platform = run_program(PLATFORM, "dev", RecordingCloud())
    outputs = {name: value for name, value in platform.outputs.items() if name != "repository_urls"}
    message = (
        "^Stack organization/ml-platform/dev has no output repository_urls: .*; run `pulumi up -s dev` in "
        "the root of the repository first$"
    )
    with pytest.raises(PlatformError, match=message):
        run_program(WORKLOADS, "dev", RecordingCloud(), references={platform.reference: outputs})


def test_a_failing_program_leaves_nothing_behind_for_the_next():
    def fail():
        random.RandomId("id", byte_length=4)
        raise pulumi.RunError("settings are wrong")

    with pytest.raises(PlatformError, match="settings are wrong"):
        deploy(fail)
    assert inputs_of(deploy(lambda: random.RandomId("id", byte_length=2)), "random:index/randomId:RandomId") == {
        "id": {"byteLength": 2}
    }


def test_a_fault_of_the_program_itself_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        deploy(lambda: 1 / 0)


def test_warnings_of_the_program_are_kept():
    assert deploy(lambda: pulumi.warn("p3 is old")).warnings == ("p3 is old",)


def test_settings_reach_the_program_as_its_stack_file_has_them():
    config = StackConfig(
        values={
            "ml-platform:settings": '{"region": "us-east-1", "zones": ["us-east-1a", "us-east-1b", "us-east-1c"]}',
            "ml-platform:token": "t",
        },
        secret_keys=("ml-platform:token",),
    )

    def declare():
        pulumi.export("environment", PlatformSettings.load().environment)
        pulumi.export("token", pulumi.Config().require_secret("token"))

    outputs = run_declaration(declare, RecordingCloud(), stack_name="dev", config=config).outputs
    assert outputs == {"environment": "dev", "token": Secret("t")}


PLAIN = {
    "text": "a",
    "number": 3,
    "fraction": 0.5,
    "flag": True,
    "list": [1, {"deep": Secret("s")}],
    "secret": Secret({"user": "u"}),
    "resource": ResourceReference("urn:x", "id-x"),
}


def test_values_survive_the_wire_and_come_back_with_their_secretness():
    assert from_wire(to_wire(PLAIN)) == PLAIN


def test_what_is_shown_has_no_secret_and_what_is_revealed_has_all():
    assert shown(PLAIN)["list"] == [1, {"deep": "[secret]"}]
    assert shown(PLAIN)["secret"] == "[secret]"
    assert revealed(PLAIN)["secret"] == {"user": "u"}
    assert revealed(PLAIN)["list"] == [1, {"deep": "s"}]
    assert shown(PLAIN)["resource"] == "id-x"


@pytest.fixture
def program(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: sample\nruntime: python\n")
    (tmp_path / "__main__.py").write_text("import pulumi\npulumi.export('who', pulumi.Config().require('who'))\n")
    return Program(label="sample", folder=tmp_path)


def test_configuration_without_a_namespace_is_the_projects(program):
    (program.folder / "Pulumi.dev.yaml").write_text("config:\n  who: me\n  sample:token:\n    secure: v1:abc\n")
    assert run_program(program, "dev", RecordingCloud()).outputs == {"who": "me"}
    assert program.config("dev").secret_keys == ("sample:token",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("config: [1]\n", "Pulumi.dev.yaml: `config` must be a mapping"),
        ("config: {a: [\n", "Pulumi.dev.yaml is not valid YAML"),
        ("- a\n", "Pulumi.dev.yaml must hold a mapping"),
    ],
    ids=["list", "broken", "top list"],
)
def test_a_stack_file_that_cannot_be_read_is_named(program, content, message):
    (program.folder / "Pulumi.dev.yaml").write_text(content)
    with pytest.raises(PlatformError, match=message):
        run_program(program, "dev", RecordingCloud())


def test_an_unknown_stack_is_refused_with_the_stacks_there_are(program):
    (program.folder / "Pulumi.dev.yaml").write_text("config: {}\n")
    with pytest.raises(PlatformError, match=r"stack 'staging' of sample has no file .*; the stacks are dev"):
        run_program(program, "staging", RecordingCloud())
