"""Names of the Pulumi projects: a fork that renames them writes them in its two Pulumi.yaml alone."""

import yaml

from infra import projects
from infra.identity.deploy_access import deploy_access
from infra.identity.iam import plain_policy_document
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import PLATFORM, WORKLOADS, Program


def renamed(program, folder, name):
    """A copy of the program's Pulumi.yaml and of its stack file for dev, under another project's name."""
    folder.mkdir(parents=True, exist_ok=True)
    description = yaml.safe_load((program.folder / "Pulumi.yaml").read_text())
    (folder / "Pulumi.yaml").write_text(
        yaml.safe_dump({**description, "name": name, "main": str(program.entry.parent)})
    )
    config = yaml.safe_load((program.folder / "Pulumi.dev.yaml").read_text())["config"]
    ours = {key.replace(f"{program.project}:", f"{name}:"): value for key, value in config.items()}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": ours}))
    return Program(label=program.label, folder=folder)


def test_the_workloads_of_a_fork_read_the_platform_of_the_fork(tmp_path, monkeypatch):
    platform = renamed(PLATFORM, tmp_path, "vision")
    workloads = renamed(WORKLOADS, tmp_path / "stacks" / "workloads", "vision-jobs")
    monkeypatch.setattr(projects, "REPOSITORY", tmp_path)
    first = run_program(platform, "dev", RecordingCloud())
    assert first.reference == "organization/vision/dev"
    second = run_program(workloads, "dev", RecordingCloud(), references={first.reference: first.outputs})
    assert second.outputs["training_image"]


def test_the_deploy_role_of_a_fork_writes_the_state_of_the_forks_projects(tmp_path, monkeypatch):
    for folder, name in ((tmp_path, "vision"), (tmp_path / "stacks" / "workloads", "jobs")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Pulumi.yaml").write_text(f"name: {name}\n")
    monkeypatch.setattr(projects, "REPOSITORY", tmp_path)
    place = {"partition": "aws", "account": "123456789012", "region": "us-east-1"}
    policy = plain_policy_document(deploy_access(**place, environment="dev", state_bucket="team-state"))
    assert ".pulumi/stacks/vision*/dev.*" in policy
    assert ".pulumi/*/jobs*/dev/*" in policy
    assert "stacks/ml-platform" not in policy
