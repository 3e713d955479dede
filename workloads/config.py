"""The configuration of a run: one frozen `TrainConfig`, read from yaml, checked as a whole, changed by dotted keys.

Environment variables never carry any of it. The module imports no torch, so that a fault is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, ValidationError

from workloads.config_faults import Fault, did_you_mean, faults_of
from workloads.config_text import read_yaml
from workloads.data.datasets import DatasetName
from workloads.errors import ConfigError
from workloads.tuning import space as search_space
from workloads.tuning.space import Dimension

CONFIGS = Path(__file__).resolve().parent / "configs"
SPACE = "search.space."
LARGEST = 2**31 - 1
"""The largest whole number where nothing else sets a bound."""
LONGEST_S = 10**9
"""The longest time in seconds; `threading.TIMEOUT_MAX` is about nine times as much."""

Augmentation = Literal["none", "flip_shift", "rand_augment", "trivial_augment", "auto_augment"]
Mix = Literal["none", "mixup", "cutmix"]
ModelName = Literal["small_cnn", "resnet9", "resnet18", "mobilenet_v3_small", "mobilenet_v3_large"]
Norm = Literal["batch", "group"]
Schedule = Literal["warmup_cosine", "one_cycle", "step"]
Compression = Literal["none", "fp16", "bf16", "power_sgd"]
AUGMENTATIONS: tuple[str, ...] = get_args(Augmentation)
MIXES: tuple[str, ...] = get_args(Mix)
MODELS: tuple[str, ...] = get_args(ModelName)
SCHEDULES: tuple[str, ...] = get_args(Schedule)

Count = Annotated[int, Field(ge=1, le=LARGEST)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
"""A share that is never the whole."""
InnerPart = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]


class Section(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Base of all sections: frozen, without conversions but that of 1 to 1.0, and without unknown keys."""


class DataConfig(Section):
    """The images to learn from."""

    name: DatasetName = "fashion_mnist"
    validation_fraction: InnerPart = 0.1
    """Share of each class of the training split that is kept for validation."""
    num_train: Count | None = None
    """Number of images to train on, an equal share of each class; all of them if None."""
    augmentation: Augmentation = "none"
    """How images are changed: all but `none` mirror and shift; the policies also change colours and shapes."""
    num_operations: int = Field(2, ge=1, le=10)
    """Number of changes that `rand_augment` makes one after the other (N in the paper)."""
    magnitude: int = Field(9, ge=0, le=30)
    """Strength of each change of `rand_augment` (M in the paper)."""
    mix: Mix = "none"
    """Whether each image is mixed with another."""
    mix_alpha: Positive = 1.0
    """Alpha of Beta(alpha, alpha), from which the other image's share is drawn."""
    erase_probability: Share = 0.0
    """Probability that a random rectangle of an image becomes black."""
    image_size: int = Field(64, ge=8, le=1024)
    """Side in pixels to which images of `image_folder` are scaled."""
    num_workers: int = Field(2, ge=0, le=64)
    """Number of processes of each rank that read and decode images of `image_folder`."""


class ModelConfig(Section):
    """The network to train."""

    name: ModelName = "small_cnn"
    width: int | None = Field(None, ge=4, le=512)
    """Channels of the first convolution, with which the others grow; as published if None (16 for small_cnn)."""
    norm: Norm = "batch"
    dropout: Part = 0.0


class OptimConfig(Section):
    """The optimizer, its schedule and its regularization."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive = 0.2
    """The highest learning rate."""
    lr_batch_size: Count | None = None
    """Batch size for which `lr` is meant: the rate grows with global_batch_size. If None, `lr` is taken as it is."""
    momentum: Part = 0.9
    """Nesterov momentum of sgd; the first beta of adam and adamw."""
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Schedule = "warmup_cosine"
    warmup_fraction: Part = 0.2
    """Share of the run in which the rate rises."""
    label_smoothing: Part = 0.0
    max_grad_norm: Positive | None = None
    """L2 norm to which longer gradients are clipped; no clipping if None."""
    ema_decay: InnerPart | None = None
    """Share that the averaged weights keep at a step; they are then evaluated and registered. No averaging if None."""
    patience_epochs: Count | None = None
    """Epochs without a better validation accuracy after which the run ends with its best weights; never if None."""


class ComputeConfig(Section):
    """Precision and batch pieces of the computation; a resumed run keeps those with which it began."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of products; auto is bf16 on a GPU that has it, else fp16 on one made for it, else fp32."""
    micro_batch_size: Count | None = None
    """Most images of a rank at once, over which gradients are summed; as many as the memory holds if None."""
    channels_last: bool = True
    compile: bool = False
    """Whether torch.compile translates the model, which takes minutes once."""


class DistributedConfig(Section):
    """The exchange of gradients between ranks."""

    bucket_mib: int = Field(25, ge=1, le=1024)
    """Size in MiB of the buckets in which gradients are sent."""
    static_graph: bool = False
    """Whether every step uses the same layers, so that sending can be planned."""
    compression: Compression = "none"
    power_sgd_rank: int = Field(2, ge=1, le=64)
    power_sgd_start_step: int = Field(100, ge=2, le=LARGEST)
    """First optimizer step at which PowerSGD compresses."""


class CheckpointConfig(Section):
    """When a run's state is saved, besides the end of every epoch and of the run, and how many states stay."""

    every_steps: Count | None = None
    """Optimizer steps between checkpoints; None for epochs alone."""
    keep_last: Count = 2
    """Number of the newest checkpoints that stay, besides the best."""


class TrackingConfig(Section):
    """How a run's record is sent to the tracking server while it trains."""

    every_s: float = Field(10.0, gt=0, le=LONGEST_S)
    """Seconds from one request to the next, and from one look at the machine to the next."""
    wait_s: float = Field(30.0, ge=0, le=LONGEST_S)
    """Seconds that the end of a run waits for a server that does not answer."""


class RegistryConfig(Section):
    """The name under which a trained model is registered, and when `staging` is asked for."""

    model_name: Name | None = None
    """Name of the registered model; None for one of the data set's own, such as `fashion-mnist-classifier`."""
    staging_minimum: Share = 0.85
    """Validation accuracy from which the gate is asked to give a new version the alias `staging`."""


class SearchConfig(Section):
    """What `tune` draws, and when its scheduler (ASHA) stops a trial early."""

    space: dict[str, Annotated[Dimension, PlainValidator(Dimension.parse), PlainSerializer(Dimension.as_data)]] = {}
    """Map from dotted key to what its values are drawn from."""
    grace_epochs: Count = 1
    """Epochs before which no trial is stopped."""
    reduction_factor: int = Field(3, ge=2, le=LARGEST)
    """One in so many trials goes on at each rung."""


class TrainConfig(Section):
    """The configuration of one run."""

    name: Name = "run"
    """Prefix of run names, and name of the experiment that holds them."""
    seed: int = Field(0, ge=0, le=LARGEST)
    epochs: Count = 6
    max_steps: Count | None = None
    """Optimizer steps after which the run ends even if epochs are left."""
    global_batch_size: Count = 256
    """Images per optimizer step, over all ranks."""
    num_threads: int | None = Field(None, ge=1, le=1024)
    """Number of CPU threads of each rank; cores divided by ranks if None."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    timeout_s: float = Field(120.0, gt=0, le=LONGEST_S)
    """Seconds that a rank waits for the others in a collective."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    compute: ComputeConfig = ComputeConfig()
    distributed: DistributedConfig = DistributedConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    tracking: TrackingConfig = TrackingConfig()
    registry: RegistryConfig = RegistryConfig()
    search: SearchConfig = SearchConfig()

    @property
    def model_name(self) -> str:
        """Name under which the model is registered: models of different data sets have different ones."""
        return self.registry.model_name or default_model_name(self.data.name)

    def with_values(self, values: Mapping[str, object]) -> TrainConfig:
        """Return this config with dotted keys changed, checked again; raise ConfigError with every fault.

        The one way for `--set`, search spaces and tests: `config.with_values({"optim.lr": 0.1})`.
        """
        return read_config(self.as_data(), values, source=f"Config {self.name}")

    def as_data(self) -> dict[str, Any]:
        """Return nested plain values, as a yaml file would give them."""
        return self.model_dump()

    def flattened(self) -> dict[str, object]:
        """Return a map from dotted key to value of all that shapes a run: the `search` section is left out."""
        flat: dict[str, object] = {}
        for name, value in self.model_dump(exclude={"search"}).items():
            flat |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        return flat | {"registry.model_name": self.model_name}

    def as_yaml(self) -> str:
        """Return the text of a yaml file that loads as this config."""
        return yaml.safe_dump(self.as_data(), sort_keys=False)


def default_model_name(dataset: str) -> str:
    """Return the name of the registered model of a data set, such as `fashion-mnist-classifier`."""
    return f"{dataset.replace('_', '-')}-classifier"


def load_config(name_or_path: str, values: Mapping[str, object] | None = None) -> TrainConfig:
    """Return the committed config of that name, or the one in a yaml file, with dotted `values` put over it.

    Raises ConfigError when there is no such config, or with every fault in it.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIGS / f"{name_or_path}.yaml"
    if not path.is_file():
        names = config_names()
        hint = did_you_mean(name_or_path, names)
        raise ConfigError(
            f"No config {name_or_path}{hint}: name one of {', '.join(names)}, or the path of a .yaml file that exists"
        )
    data = read_yaml(path.read_bytes(), str(path))
    if not isinstance(data, dict | None):
        raise ConfigError(f"{path}: must be keys and values, for example `epochs: 5`")
    return read_config({"name": path.stem} | (data or {}), values or {}, source=f"Config {name_or_path}")


def config_names() -> list[str]:
    """Return the names of the committed configs."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Return dotted keys and values from `KEY=VALUE` texts, each value read as yaml; raise ConfigError."""
    values: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment}: must be KEY=VALUE, for example --set optim.lr=0.1")
        try:
            values[key.strip()] = read_yaml(text, "")
        except ConfigError:
            raise ConfigError(f"--set {assignment}: the value is not yaml; put it in quotes") from None
    return values


def read_config(data: Mapping[str, Any], values: Mapping[str, object], *, source: str) -> TrainConfig:
    """Return a checked config from nested `data` with dotted `values` put over it.

    Raises ConfigError that begins with `source` and lists every fault: dotted key, what is allowed, value found.
    """
    config = _checked(data, values)
    faults = list(_space_faults(config)) if isinstance(config, TrainConfig) else config
    if isinstance(config, TrainConfig) and not faults:
        return config
    count = "1 key is" if len(faults) == 1 else f"{len(faults)} keys are"
    raise ConfigError("\n  ".join([f"{source} cannot be used until {count} corrected:", *map(str, faults)]))


def _checked(data: Mapping[str, Any], values: Mapping[str, object]) -> TrainConfig | list[Fault]:
    """Return the config, its search space not yet tried, or every fault."""
    for key, value in values.items():
        data = _put(data, _path(key), value)
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        return faults_of(error, TrainConfig)


def _path(key: str) -> list[str]:
    """Return the place of a dotted key; one of no section stays whole, and is told as a key that does not exist."""
    if key.startswith(SPACE):
        return ["search", "space", key.removeprefix(SPACE)]
    section, _, name = key.partition(".")
    known = TrainConfig.model_fields.get(section)
    return [section, name] if name and known and isinstance(known.default, Section) else [key]


def _put(data: Any, path: Sequence[str], value: object) -> Any:
    """Return a copy of nested `data` with the value at that place; what is no section stays, a fault of its own."""
    if not isinstance(data, Mapping):
        return data
    key, *rest = path
    return {**data, key: _put(data.get(key, {}), rest, value) if rest else value}


def _space_faults(config: TrainConfig) -> Iterator[Fault]:
    """Yield the faults that a trial would have: each key is tried with the ends of what it is drawn from."""
    space = config.search.space
    for key, found, allowed in search_space.faults(space):
        yield Fault(key=SPACE + key, found=found, allowed=allowed)
    data = config.as_data() | {"search": {}}
    for key, dimension in space.items():
        told = set()
        for value in dimension.ends:
            trial = _checked(data, {key: value})
            if isinstance(trial, list) and trial[0].allowed not in told:
                told.add(trial[0].allowed)
                yield Fault(key=SPACE + key, found=value, allowed=trial[0].allowed)
