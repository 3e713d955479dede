from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.config import LARGEST, LONGEST_S, TrainConfig, config_names, load_config, parse_assignments, read_config
from workloads.config_text import read_yaml
from workloads.data.datasets import DATASETS, source_of
from workloads.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"epochs": 0}, "epochs: must be a whole number at least 1 and at most", id="too small"),
        pytest.param({"epochs": 2.5}, "at least 1 and at most 2147483647 (got 2.5)", id="not whole"),
        pytest.param({"epochs": True}, "at least 1 and at most 2147483647 (got True)", id="a truth is no number"),
        pytest.param({"optim.lr": True}, "optim.lr: must be a number above 0 (got True)", id="nor a fraction"),
        pytest.param({"epochs": "5"}, "at most 2147483647 (got '5')", id="digits in quotes"),
        pytest.param({"epochs": [5]}, "at most 2147483647 (got [5])", id="a list"),
        pytest.param({"epochs": None}, "at most 2147483647 (got None)", id="nothing"),
        pytest.param({"epochs": 10**400}, "at most 2147483647 (got 10000", id="huge"),
        pytest.param({"epochs": 16**5000}, "(got a number of thousands of digits)", id="too huge to be written"),
        pytest.param({"epochs": "x" * 10**6}, "xxx...xxx", id="long text"),
        pytest.param({"optim.lr": 10**400}, "optim.lr: must be a number above 0 (got 10000", id="huge for a float"),
        pytest.param({"optim.lr": float("inf")}, "optim.lr: must be a number above 0 (got inf)", id="endless"),
        pytest.param({"timeout_s": 1e10}, "must be a number above 0 and at most 1000000000 (got 1", id="for ever"),
        pytest.param({"optim.lr": "fast"}, "optim.lr: must be a number above 0 (got 'fast')", id="text for a number"),
        pytest.param({"optim.lr": float("nan")}, "optim.lr: must be a number above 0 (got nan)", id="not finite"),
        pytest.param(
            {"model.dropout": 1}, "model.dropout: must be a number at least 0 and below 1 (got 1)", id="bound"
        ),
        pytest.param({"data.name": "cifar"}, "data.name: must be one of fashion_mnist, mnist, cifar10,", id="choice"),
        pytest.param({"data.name": ["digits"]}, "data.name: must be one of fashion_mnist", id="a list of choices"),
        pytest.param({"compute.compile": 1}, "compute.compile: must be true or false (got 1)", id="no truth"),
        pytest.param({"optim.lrr": 1}, "optim.lrr: no such key; did you mean optim.lr? (got 1)", id="misspelt"),
        pytest.param({"width": 8}, "width: no such key; did you mean model.width? (got 8)", id="section forgotten"),
        pytest.param({"model": 4}, "model: must be a section of keys and values (got 4)", id="value for a section"),
        pytest.param({"model": None}, "model: must be a section of keys and values (got None)", id="empty section"),
        pytest.param({"epochs.x": 4}, "epochs.x: no such key; did you mean epochs? (got 4)", id="section for a value"),
        pytest.param({"optim.lr.x": 4}, "optim.lr.x: no such key; did you mean optim.lr? (got 4)", id="too deep"),
        pytest.param({"a.b.c": 4}, "a.b.c: no such key; keys and sections are name, seed,", id="nothing like it"),
        pytest.param({"optim": {"lr": {"max": 4}}}, "optim.lr: must be a number above 0 (got {'max': 4})", id="nested"),
        pytest.param({"optim": {True: 4}}, "keys must be text (got True)", id="a key that is no text"),
        pytest.param({"search.space": {5: {}}}, "search.space.5: keys must be text (got 5)", id="nor in a space"),
        pytest.param({"registry.model_name": "a b"}, "registry.model_name: must be text of letters", id="pattern"),
        pytest.param({"search.space": 3}, "search.space: must be dotted keys", id="space is no mapping"),
        pytest.param(
            {"search.space.optim.lr": {"loguniform": [1, 0.1]}},
            "search.space.optim.lr: loguniform takes two numbers, 0 < low < high",
            id="bounds in the wrong order",
        ),
        pytest.param(
            {"search.space.optim.lr": {"normal": [0, 1]}},
            "search.space.optim.lr: must be one of {loguniform",
            id="kind",
        ),
        pytest.param(
            {"search.space.model.width": {"choice": [8, 2]}},
            "search.space.model.width: must be a whole number at least 4 and at most 512 (got 2)",
            id="a value that no run could have",
        ),
        pytest.param(
            {"search.space.model.depth": {"choice": [8]}}, "search.space.model.depth: no such key", id="space key"
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_is_allowed(values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config("digits", values)
    assert told in str(raised.value)


KEYS = st.sampled_from(
    [*TrainConfig().flattened(), *TrainConfig.model_fields, "search.space", "space", "lr"]
) | st.text(max_size=4)
ABOVE_0, BELOW_1 = 1e-9, 0.999999
LIMITS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "data.validation_fraction": ((ABOVE_0, BELOW_1), (0, 1)),
    "data.num_train": ((1, LARGEST), (0, LARGEST + 1)),
    "data.num_operations": ((1, 10), (0, 11)),
    "data.magnitude": ((0, 30), (-1, 31)),
    "data.mix_alpha": ((ABOVE_0,), (0,)),
    "data.erase_probability": ((0, 1), (-ABOVE_0, 1.000001)),
    "data.image_size": ((8, 1024), (7, 1025)),
    "data.num_workers": ((0, 64), (-1, 65)),
    "model.width": ((4, 512), (3, 513)),
    "model.dropout": ((0, BELOW_1), (-ABOVE_0, 1)),
    "optim.lr": ((ABOVE_0,), (0,)),
    "optim.lr_batch_size": ((1, LARGEST), (0, LARGEST + 1)),
    "optim.momentum": ((0, BELOW_1), (-ABOVE_0, 1)),
    "optim.weight_decay": ((0,), (-ABOVE_0,)),
    "optim.warmup_fraction": ((0, BELOW_1), (-ABOVE_0, 1)),
    "optim.label_smoothing": ((0, BELOW_1), (-ABOVE_0, 1)),
    "optim.max_grad_norm": ((ABOVE_0,), (0,)),
    "optim.ema_decay": ((ABOVE_0, BELOW_1), (0, 1)),
    "optim.patience_epochs": ((1, LARGEST), (0, LARGEST + 1)),
    "compute.micro_batch_size": ((1, LARGEST), (0, LARGEST + 1)),
    "distributed.bucket_mib": ((1, 1024), (0, 1025)),
    "distributed.power_sgd_rank": ((1, 64), (0, 65)),
    "distributed.power_sgd_start_step": ((2, LARGEST), (1, LARGEST + 1)),
    "checkpoint.every_steps": ((1, LARGEST), (0, LARGEST + 1)),
    "checkpoint.keep_last": ((1, LARGEST), (0, LARGEST + 1)),
    "tracking.every_s": ((ABOVE_0, LONGEST_S), (0, LONGEST_S + 1)),
    "tracking.wait_s": ((0, LONGEST_S), (-ABOVE_0, LONGEST_S + 1)),
    "registry.staging_minimum": ((0, 1), (-ABOVE_0, 1.000001)),
    "search.grace_epochs": ((1, LARGEST), (0, LARGEST + 1)),
    "search.reduction_factor": ((2, LARGEST), (1, LARGEST + 1)),
    "seed": ((0, LARGEST), (-1, LARGEST + 1)),
    "epochs": ((1, LARGEST), (0, LARGEST + 1)),
    "max_steps": ((1, LARGEST), (0, LARGEST + 1)),
    "global_batch_size": ((1, LARGEST), (0, LARGEST + 1)),
    "num_threads": ((1, 1024), (0, 1025)),
    "timeout_s": ((ABOVE_0, LONGEST_S), (0, LONGEST_S + 1)),
}
"""Of each number the values at its limits, and the first beyond them."""


@pytest.mark.parametrize("key", LIMITS)
def test_a_number_is_taken_up_to_its_limits_and_not_beyond(key: str) -> None:
    allowed, refused = LIMITS[key]
    for value in allowed:
        load_config("digits", {key: value})
    for value in refused:
        with pytest.raises(ConfigError, match=rf"{key}: must be a .*number"):
            load_config("digits", {key: value})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_config("digits", {"epochs": 0, "optim.lr": -1, "data.nam": "digits"})
    lines = str(raised.value).splitlines()
    assert lines[0] == "Config digits cannot be used until 3 keys are corrected:"
    assert len(lines) == 4


def test_a_section_that_is_none_is_one_fault_whatever_is_put_into_it() -> None:
    with pytest.raises(ConfigError) as raised:
        read_config({"model": "resnet18"}, {"model.width": 8}, source="Config x")
    assert str(raised.value) == (
        "Config x cannot be used until 1 key is corrected:\n"
        "  model: must be a section of keys and values (got 'resnet18')"
    )


def test_a_dotted_key_in_a_file_is_told_where_it_belongs() -> None:
    with pytest.raises(ConfigError, match=r"optim.lr: no such key; write it as `optim: \{lr: ...\}` \(got 1\)"):
        read_config({"optim.lr": 1}, {}, source="Config x")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=6), st.dictionaries(KEYS, ANYTHING, max_size=3))
def test_data_are_a_config_or_faults_whatever_they_are(data: dict[str, object], values: dict[str, object]) -> None:
    with suppress(ConfigError):
        read_config(data, values, source="Config x")


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("a1:-.0e+_x !&*?|>{}[],#'\"\t\n<="), max_size=20) | st.text(max_size=20))
def test_a_text_is_yaml_or_refused_whatever_it_says(text: str) -> None:
    with suppress(ConfigError):
        read_yaml(text, "text")


def test_a_run_keeps_its_config_as_plain_values_from_which_it_comes_back() -> None:
    drawn = {"loguniform": [0.01, 1], "when": {"optim.name": ["sgd"]}}
    space = {"search.space.optim.lr": drawn, "search.space.optim.name": {"choice": ["sgd", "adam"]}}
    config = load_config("digits", {"optim.lr": 1, "search.grace_epochs": 2} | space)
    kept = json.loads(json.dumps(config.as_data()))
    assert list(kept)[:8] == [
        "name", "seed", "epochs", "max_steps", "global_batch_size", "num_threads", "device", "timeout_s",
    ]  # fmt: skip
    assert kept["compute"] == {
        "precision": "auto", "micro_batch_size": None, "channels_last": True, "compile": False,
    }  # fmt: skip
    assert kept["search"]["space"]["optim.lr"] == drawn
    assert str(kept["optim"]["lr"]) == "1.0"
    assert read_config(kept, {}, source="kept") == config


def test_a_dotted_key_changes_that_value_alone() -> None:
    before = load_config("digits")
    after = before.with_values({"optim.lr": 0.025})
    assert after.optim.lr == 0.025
    changed = {key for key, value in after.flattened().items() if before.flattened()[key] != value}
    assert changed == {"optim.lr"}


def test_assignments_are_read_as_yaml_with_exponents_as_numbers() -> None:
    assert parse_assignments(["optim.lr=1e-3", "max_steps=null", "data.name=digits", "epochs=3"]) == {
        "optim.lr": 0.001,
        "max_steps": None,
        "data.name": "digits",
        "epochs": 3,
    }


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=[1", "epochs=2026-13-45", "optim={lr: 1, lr: 2}"])
def test_an_assignment_without_key_or_readable_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([text])


@pytest.mark.parametrize("name", config_names())
def test_every_committed_config_loads_under_its_own_name_and_can_be_searched(name: str) -> None:
    config = load_config(name)
    assert config.name == name
    assert {"optim.lr", "model.width"} <= set(config.search.space)


def test_the_resolved_config_as_yaml_loads_as_the_same_config(tmp_path: Path) -> None:
    config = load_config("fashion_mnist", {"optim.lr": 1e-5})
    path = tmp_path / "resolved.yaml"
    path.write_text(config.as_yaml())
    assert load_config(str(path)) == config


def test_a_config_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"did you mean fashion_mnist\?.*digits, .*fashion_mnist, .*minitest"):
        load_config("fashion-mnist")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("epochs: [1", "line", id="broken"),
        pytest.param("- epochs", "must be keys and values", id="a list"),
        pytest.param("epochs", "must be keys and values", id="a word"),
        pytest.param("optim:\n  lr: 1\n  lr: 2", "line 3: not yaml: lr is there twice", id="a key twice"),
        pytest.param("epochs: 1\n---\nepochs: 2", "line 2: not yaml: but found another document", id="two documents"),
        pytest.param("seed: 1\nepochs: 2026-13-45", "line 2: not yaml: 2026-13-45 is no timestamp", id="no date"),
        pytest.param("epochs: !!int x", "line 1: not yaml: x is no int", id="not what its tag says"),
        pytest.param("epochs: " + "1" * 5000, "line 1: not yaml: 1111111111", id="more digits than are read"),
        pytest.param("epochs: !!python/name:os.system", "line 1: not yaml: could not determine", id="code"),
        pytest.param("epochs: " + "[" * 5000, "not a yaml text file", id="nested without end"),
        pytest.param(b"\xff\xfe\x00", "not a yaml text file", id="not text"),
    ],
)
def test_a_file_that_is_not_a_config_is_named(tmp_path: Path, content: str | bytes, told: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as raised:
        load_config(str(path))
    assert str(path) in str(raised.value)
    assert told in str(raised.value)


def test_an_empty_file_is_a_run_with_every_default(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.touch()
    assert load_config(str(path)) == TrainConfig(name="plain")


def test_keys_that_another_section_lends_may_be_told_anew(tmp_path: Path) -> None:
    path = tmp_path / "lent.yaml"
    path.write_text("data: &small {name: digits, num_train: 99}\nmodel: {<<: {width: 4}, width: 8}")
    assert load_config(str(path)).model.width == 8


def test_what_is_searched_is_not_among_the_parameters_of_a_run() -> None:
    assert not [key for key in load_config("digits").flattened() if key.startswith("search")]


def test_each_data_set_that_a_config_may_name_can_be_looked_up() -> None:
    for name in DATASETS:
        source_of(name)
