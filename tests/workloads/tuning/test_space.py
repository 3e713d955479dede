from __future__ import annotations

import pytest

from workloads.config import TrainConfig, load_config, read_config
from workloads.errors import ConfigError
from workloads.tuning.samplers import TrialSampler
from workloads.tuning.space import Dimension
from workloads.tuning.states import COMPLETE, FAILED, PRUNED
from workloads.tuning.trials import EpochResult, Trial

SPACE = {
    "optim.momentum": {"uniform": [0.8, 0.99], "when": {"optim.name": ["sgd"]}},
    "optim.name": {"choice": ["sgd", "adamw"]},
    "optim.lr": {"loguniform": [0.01, 0.5]},
    "model.width": {"logint": [4, 32]},
    "data.num_operations": {"int": [1, 3]},
}


def config(space: dict[str, object]) -> TrainConfig:
    return read_config({"search": {"space": space}}, {}, source="test")


def test_each_kind_draws_within_its_bounds_and_a_key_only_where_its_condition_holds() -> None:
    sampler = TrialSampler(config(SPACE).search.space, kind="random", seed=0)
    for number in range(60):
        params = sampler.ask(number)
        assert params["optim.name"] in ("sgd", "adamw")
        assert ("optim.momentum" in params) == (params["optim.name"] == "sgd")
        assert isinstance(params["model.width"], int)
        assert 4 <= params["model.width"] <= 32
        assert params["data.num_operations"] in (1, 2, 3)
        lr, momentum = params["optim.lr"], params.get("optim.momentum", 0.8)
        assert isinstance(lr, float)
        assert 0.01 <= lr <= 0.5
        assert isinstance(momentum, float)
        assert 0.8 <= momentum <= 0.99
        assert config(SPACE).with_values(params).optim.lr == lr


def test_what_is_drawn_at_random_for_a_trial_depends_on_seed_and_number_alone() -> None:
    space = config(SPACE).search.space
    whole = TrialSampler(space, kind="random", seed=7)
    first = [whole.ask(number) for number in range(6)]
    later = TrialSampler(space, kind="random", seed=7)
    assert [later.ask(number) for number in (3, 4, 5)] == first[3:]
    assert len({str(params) for params in first}) == 6
    assert TrialSampler(space, kind="random", seed=8).ask(3) != first[3]


def test_tpe_draws_near_the_best_of_the_trials_that_ended_those_of_another_process_too() -> None:
    space = {"optim.lr": Dimension.parse({"uniform": [0.0, 1.0]})}
    sampler = TrialSampler(space, kind="tpe", seed=0)
    for number in range(40):
        lr = number / 40
        state = FAILED if number % 9 == 8 else PRUNED if number % 3 else COMPLETE
        sampler.tell(ended(number, {"optim.lr": lr}, 1 - abs(lr - 0.7), state))
    drawn = [float(str(sampler.ask(number)["optim.lr"])) for number in range(40, 60)]
    assert sum(abs(lr - 0.7) < 0.2 for lr in drawn) >= 15


def ended(number: int, params: dict[str, object], value: float, state: str) -> Trial:
    result = EpochResult(epoch=1, step=1, val_accuracy=value, val_loss=0, train_loss=0, seconds=1, ended_at=0)
    return Trial(number=number, params=params, state=state, results=[] if state == FAILED else [result])


@pytest.mark.parametrize(
    ("key", "found", "message"),
    [
        ("optim.lr", {"loguniform": [0, 1]}, "loguniform takes two numbers, 0 < low < high"),
        ("optim.lr", {"uniform": [1, 0.5]}, "uniform takes two numbers, low < high"),
        ("model.width", {"int": [4.5, 8]}, "int takes two whole numbers, low < high"),
        ("model.width", {"logint": [0, 8]}, "logint takes two whole numbers, 0 < low < high"),
        ("model.width", {"choice": [[4]]}, "choice takes a list of values"),
        ("model.width", {"normal": [0, 1]}, "must be one of {loguniform: two numbers, 0 < low < high}"),
        ("model.width", {"choice": [4], "when": ["sgd"]}, "when takes keys of the space"),
        ("model.width", {"uniform": [4, 8]}, "must be a whole number at least 4"),
        ("model.width", {"int": [2, 8]}, "must be a whole number at least 4 and at most 512 (got 2)"),
        ("optim.name", {"choice": ["sgd", "sdg"]}, "must be one of sgd, adam, adamw (got 'sdg')"),
        ("epochs", {"int": [1, 5]}, "is the same for all trials of a search"),
        ("checkpoint.every_steps", {"int": [1, 5]}, "is the same for all trials of a search"),
        ("optim.lr", {"uniform": [0.1, 0.2], "when": {"optim.nome": ["sgd"]}}, "must name another key of the space"),
        ("optim.lr", {"uniform": [0.1, 0.2], "when": {"model.norm": ["sgd"]}}, "must be one of batch, group"),
    ],
)
def test_a_fault_in_a_space_names_its_key_and_what_is_allowed(key: str, found: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config({"model.norm": {"choice": ["batch", "group"]}, key: found})
    assert f"search.space.{key}" in str(raised.value)
    assert message in str(raised.value)


def test_all_faults_of_a_space_are_told_at_once() -> None:
    circle = {
        "optim.name": {"choice": ["sgd"], "when": {"model.norm": ["batch"]}},
        "model.norm": {"choice": ["batch"], "when": {"optim.name": ["sgd"]}},
        "optim.lr": {"uniform": [-1, 0.5]},
    }
    with pytest.raises(ConfigError) as raised:
        config(circle)
    assert str(raised.value).count("must not depend on itself") == 2
    assert "optim.lr: must be a number above 0 (got -1.0)" in str(raised.value)


def test_a_space_with_conditions_is_kept_in_yaml() -> None:
    searched = config(SPACE)
    assert load_config("digits", {"search": searched.as_data()["search"]}).search == searched.search
