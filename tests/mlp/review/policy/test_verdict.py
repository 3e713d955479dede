"""`mlp policy` and `mlp policies`, and the verdict that plans and pull requests show."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from mlp.cli import app
from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_program
from mlp.engine.programs import PLATFORM, Program
from mlp.plan import planning
from mlp.review.policy import table as policy_table
from mlp.review.policy import verdict as policy
from mlp.review.policy.verdict import context_of, verdict
from mlp.shared.errors import PlatformError
from policies.rules import RULES
from policies.rules.exemptions import Exemption
from tests.builders import planned
from tests.policies.builders import TODAY

DAY = ("--as-of", TODAY.isoformat())


@pytest.fixture
def mlp(monkeypatch):
    """Runs a command in this process, with the plans that the tests share."""
    shared = {stack: planned(stack) for stack in ("dev", "prod", "local")}
    monkeypatch.setattr(planning, "plan", shared.__getitem__)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=False)


def judged(stack, **known):
    deployments = planned(stack)
    return verdict(deployments, context_of(deployments, today=TODAY, **known))


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_the_committed_environments_hold_the_rules(mlp, stack):
    result = mlp("policy", stack, *DAY)
    assert result.exit_code == 0
    count = sum(len(one.resources) for one in planned(stack))
    assert result.stdout.splitlines()[-1].startswith(f"{stack}: {len(RULES)} rules, {count} resources, 0 violations, ")


def test_every_finding_is_a_line_with_its_level_and_rule(mlp):
    lines = mlp("policy", "dev", *DAY).stdout.splitlines()
    [advisory] = [line for line in lines if line.startswith("advisory ")]
    assert advisory.startswith(
        "advisory api-endpoint-closed: the API endpoint of cluster-eksCluster is open to 0.0.0.0/0; "
    )
    exempted = [line for line in lines if line.startswith("exempted ")]
    assert len(exempted) == 2
    assert all(line.endswith("(until 2027-11-30)") for line in exempted)
    assert lines[-1].endswith(", 0 violations, 1 advisory, 2 exemptions")


def test_a_broken_rule_ends_in_exit_code_3_and_the_day_can_be_chosen(mlp):
    result = mlp("policy", "prod", "--as-of", "2027-03-28")
    assert result.exit_code == 3
    assert (
        "mandatory kubernetes-supported: Kubernetes 1.35 of cluster-eksCluster left standard support" in result.stdout
    )
    assert mlp("policy", "local", "--as-of", "2027-03-28").exit_code == 0, "an emulator has no support to lose"


def test_a_day_that_is_none_is_refused(mlp):
    result = mlp("policy", "prod", "--as-of", "soon")
    assert result.exit_code == 2
    assert "Invalid value for '--as-of'" in result.output


def test_exemptions_end_in_exit_code_3_and_say_so(mlp):
    result = mlp("policy", "local", "--as-of", "2027-12-01")
    assert result.exit_code == 3
    assert (
        "mandatory exemptions: the exemption of aws:sns/topic:Topic budget-alerts from topics-encrypted ended on"
        in (result.stdout)
    )


def test_the_verdict_as_data_counts_and_names_each_finding(mlp, tmp_path):
    data = json.loads(mlp("policy", "prod", "--json", "-", *DAY).stdout)
    counts = data["counts"]
    assert (data["stack"], counts["violations"], counts["advisories"], counts["exempted"]) == ("prod", 0, 0, 2)
    [topic] = [one for one in data["exempted"] if one["rule"] == "topics-encrypted"]
    assert (topic["resource"], topic["level"], topic["until"]) == ("budget-alerts", "mandatory", "2027-11-30")
    assert topic["urn"].endswith("::budget-alerts")
    result = mlp("policy", "prod", "--json", str(tmp_path / "verdict.json"), *DAY)
    assert json.loads((tmp_path / "verdict.json").read_text()) == data
    assert (result.exit_code, result.stdout) == (0, "")


def test_faulty_exemptions_are_one_clear_message(tmp_path):
    faulty = tmp_path / "exemptions.yaml"
    faulty.write_text("exemptions: [{rule: no-such-rule}]")
    with pytest.raises(PlatformError, match=r"^exemptions\.yaml has 4 faults, and nothing is checked until they are"):
        policy.committed_exemptions(faulty)


def test_a_price_above_the_budget_breaks_the_verdict():
    assert not judged("dev", monthly_usd=300.0).broken
    over = judged("dev", monthly_usd=300.01)
    assert over.broken
    assert [one.rule for one in over.judgement.violations] == ["within-budget"]
    assert not judged("local", monthly_usd=1e6).broken


def test_the_verdict_in_a_report_shows_findings_and_what_is_exempt_and_folds_only_what_is_no_violation():
    section = judged("dev", monthly_usd=300.01).section()
    assert section.unfolded
    assert section.summary.startswith("dev: ")
    findings, exempted = section.body
    rows = [line for line in findings.splitlines() if line.startswith("| ")]
    assert rows[2].startswith("| mandatory | within-budget | dev costs 300.01 USD a month")
    assert rows[3].startswith("| advisory | api-endpoint-closed | ")
    assert exempted.count("until 2027-11-30") == 2
    assert not judged("dev").section().unfolded


def test_nothing_that_somebody_wrote_is_markup():
    written = [replace(one, reason="a <b>bold</b> | claim") for one in policy.committed_exemptions()]
    shown = verdict(planned("dev"), context_of(planned("dev"), today=TODAY), written).section()
    assert "a &lt;b&gt;bold&lt;/b&gt; &#124; claim" in shown.body[-1]


def test_a_clean_verdict_is_one_line_of_a_report():
    clean = verdict([], context_of(planned("prod"), today=TODAY), [])
    section = clean.section()
    assert section.summary == f"prod: {len(RULES)} rules, 0 resources, 0 violations, 0 advisories, 0 exemptions"
    assert section.body == ()


def test_the_verdict_for_a_terminal_shows_each_finding():
    console = Console(width=200)
    with console.capture() as captured:
        console.print(judged("dev"))
    for word in ("dev: ", "api-endpoint-closed", "exempted", "until 2027-11-30", "level 'privileged'"):
        assert word in captured.get()


def test_an_exemption_that_nothing_needs_is_reported_and_does_not_fail():
    unneeded = Exemption(rule="buckets-versioned", urn="*::old-bucket", reason="It is gone.", until=date.max)
    deployments = planned("prod")
    found = verdict(deployments, context_of(deployments, today=TODAY), [*policy.committed_exemptions(), unneeded])
    assert not found.broken
    assert [one.rule for one in found.judgement.advisories] == ["exemptions"]


def test_the_committed_exemptions_are_all_needed():
    assert [
        one for stack in ("dev", "prod", "local") for one in judged(stack).judgement.advisories if not one.urn
    ] == []


def test_no_secret_reaches_a_verdict():
    secrets = policy.secret_values(planned("prod"))
    assert len(secrets) > 10
    shown = json.dumps([dict(one.properties) for one in policy.as_planned(planned("prod")[0])], default=str)
    assert not [value for value in secrets if value in shown and not value.startswith("{")]


def test_the_document_has_a_row_for_each_rule():
    assert policy_table.policy_table() in policy_table.DOCUMENT.read_text(), "run `mlp policies --update`"
    assert policy_table.policy_table().count("\n") == len(RULES) + 1


@pytest.fixture
def changed(tmp_path):
    """The platform of an environment whose stack file a test changes."""

    def change(stack, **sections):
        content = yaml.safe_load((PLATFORM.folder / f"Pulumi.{stack}.yaml").read_text())
        settings = content["config"]["ml-platform:settings"]
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values} if isinstance(values, dict) else values
        (tmp_path / "Pulumi.yaml").write_text(f"name: ml-platform\nmain: {PLATFORM.entry.parent}\n")
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(content))
        return [run_program(Program(label="platform", folder=tmp_path), stack, RecordingCloud())]

    return change


def rules_broken(result):
    return {line.split()[1].rstrip(":") for line in result.stdout.splitlines() if line.startswith("mandatory ")}


CORE = {"instance_types": ["m7i.large"], "min_size": 2, "max_size": 2}
GPU = {"instance_types": ["g6.xlarge"], "min_size": 1, "max_size": 2, "gpu": True}


def test_settings_that_give_up_production_are_named_rule_by_rule(mlp, monkeypatch, changed):
    deployments = changed(
        "prod",
        protect_data=False,
        cluster={"public_access_cidrs": ["0.0.0.0/0"]},
        database={"multi_az": False, "backup_retention_days": 1},
        node_pools={"core": CORE, "gpu": {**GPU, "capacity": "on_demand"}},
    )
    monkeypatch.setattr(planning, "plan", lambda _: deployments)
    result = mlp("policy", "prod", *DAY)
    assert result.exit_code == 3
    assert rules_broken(result) == {
        "api-endpoint-closed",
        "data-protected",
        "database-backed-up",
        "database-has-a-standby",
        "deletion-refused",
        "gpu-pools-free-when-idle",
        "gpu-pools-on-spot",
    }


def test_development_may_do_as_much_but_not_pay_for_idle_gpus_nor_above_its_budget(mlp, monkeypatch, changed):
    deployments = changed(
        "dev", node_pools={"core": CORE, "gpu": {**GPU, "capacity": "spot"}}, budget={"monthly_usd": 50}
    )
    monkeypatch.setattr(planning, "plan", lambda _: deployments)
    result = mlp("policy", "dev", *DAY)
    assert result.exit_code == 3
    assert rules_broken(result) == {"gpu-pools-free-when-idle", "within-budget"}
