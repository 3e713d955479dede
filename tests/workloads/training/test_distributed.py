"""What goes from rank to rank. A group of one rank sends as one of many does, to itself."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore
from torch.nn.functional import cross_entropy

from workloads.checkpoints.checkpoints import copy_to_cpu
from workloads.config import Compression, DistributedConfig, ModelConfig, ModelName, TrainConfig
from workloads.data.dataset import Split
from workloads.errors import WorkloadError
from workloads.models.build import ModelSpec
from workloads.ranks import Ranks
from workloads.training.distributed import DistributedModel
from workloads.training.gradients import Gradients
from workloads.training.trainer import Trainer

CPU = torch.device("cpu")
START = 2


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Joined as the only rank; the bytes of each tensor that is handed to a collective."""
    dist.init_process_group("gloo", store=FileStore(str(tmp_path / "ranks"), 1), rank=0, world_size=1)
    sizes: list[int] = []
    all_reduce = dist.all_reduce

    def counted(tensor: Tensor, *arguments: Any, **named: Any) -> object:
        sizes.append(tensor.numel() * tensor.element_size())
        return all_reduce(tensor, *arguments, **named)

    monkeypatch.setattr(dist, "all_reduce", counted)
    yield sizes
    gc.collect()
    dist.destroy_process_group()


def split_of(num_images: int) -> Split:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num_images, 3, 32, 32), generator=draw, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(num_images) % 10)


def net(name: ModelName = "resnet9", width: int = 8) -> nn.Module:
    return ModelSpec.of(ModelConfig(name=name, width=width, norm="group"), split_of(2), 10).build(seed=0)


def exchange_of(module: nn.Module, compression: Compression) -> DistributedModel:
    return DistributedModel(module, DistributedConfig(compression=compression, power_sgd_start_step=START), CPU)


def step(exchange: DistributedModel, split: Split, sent: list[int], micro_batch_size: int | None = None) -> int:
    """Bytes of one optimizer step."""
    before = sum(sent)
    gradients = Gradients(
        exchange.model,
        device=CPU,
        precision="fp32",
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        label_smoothing=0.0,
        micro_batch_size=micro_batch_size,
    )
    gradients.backward(split.images, split.labels, weight=1 / len(split), seed=0)
    return sum(sent) - before


def bytes_of(module: nn.Module) -> int:
    return 4 * sum(parameter.numel() for parameter in module.parameters())


def gradient(module: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])


def plain_gradient(split: Split) -> Tensor:
    module = net()
    cross_entropy(module(split.images), split.labels).backward()
    return gradient(module)


def test_fp16_sends_half_and_the_gradient_stays_near(sent: list[int]) -> None:
    module, split = net(), split_of(4)
    assert step(exchange_of(module, "fp16"), split, sent) == 0.5 * bytes_of(module)
    plain = plain_gradient(split)
    assert float((gradient(module) - plain).norm() / plain.norm()) < 2e-3


def test_pieces_are_sent_once_together(sent: list[int]) -> None:
    module, split = net(), split_of(8)
    assert step(exchange_of(module, "fp16"), split, sent, micro_batch_size=2) / 4 == 0.25 * 0.5 * bytes_of(module)
    plain = plain_gradient(split)
    assert float((gradient(module) - plain).norm() / plain.norm()) < 2e-3


def test_power_sgd_sends_everything_at_first_and_then_a_twentieth_at_most(sent: list[int]) -> None:
    module, split = net("resnet18", 64), split_of(2)
    exchange = exchange_of(module, "power_sgd")
    plain = bytes_of(module)
    assert [step(exchange, split, sent) for _ in range(START)] == [plain] * START
    assert step(exchange, split, sent) <= 0.05 * plain


def test_a_rehearsal_leaves_no_trace_in_what_power_sgd_remembers(sent: list[int]) -> None:
    split = split_of(2)
    modules, exchanges = [], []
    for rehearses in (False, True):
        modules.append(net())
        exchanges.append(exchange_of(modules[-1], "power_sgd"))
        if rehearses:
            exchanges[-1].is_warm_up = True
            step(exchanges[-1], split, sent)
            exchanges[-1].is_warm_up = False
        for _ in range(START + 2):
            step(exchanges[-1], split, sent)
    assert torch.equal(gradient(modules[0]), gradient(modules[1]))


def test_what_power_sgd_remembers_goes_on(sent: list[int]) -> None:
    split = split_of(2)
    modules = [net(), net()]
    whole, again = (exchange_of(module, "power_sgd") for module in modules)
    for _ in range(START + 2):
        step(whole, split, sent)
    state = copy_to_cpu(whole.state())
    again.is_warm_up = True
    step(again, split, sent)
    again.is_warm_up = False
    again.restore(state, CPU)
    for _ in range(2):
        step(whole, split, sent)
        step(again, split, sent)
    assert torch.equal(gradient(modules[0]), gradient(modules[1]))


def test_bf16_is_refused_where_the_transport_cannot_send_it(sent: list[int]) -> None:
    with pytest.raises(WorkloadError, match=r"compression is bf16, which gloo, .* cannot send; use fp16, power_sgd or"):
        exchange_of(net(), "bf16")


@pytest.mark.usefixtures("sent")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own
@pytest.mark.parametrize(
    "changes", [{"compute.compile": True}, {"optim.ema_decay": 0.9}], ids=["translated", "averaged"]
)
def test_the_model_that_ranks_hand_on_is_the_one_that_was_built_without_wrappers(
    digits_config: Callable[..., TrainConfig], changes: dict[str, object]
) -> None:
    module, split = net(), split_of(8)
    trainer = Trainer(
        digits_config(changes),
        model=module,
        train=split,
        validation=split,
        num_classes=10,
        device=CPU,
        ranks=Ranks(world_size=2),
        on_epoch=lambda report: None,
    )
    assert type(trainer.evaluated_module) is type(module)
    assert trainer.evaluated_module.state_dict().keys() == net().state_dict().keys()
