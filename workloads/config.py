"""What a run is told: one frozen `TrainConfig`, read from yaml, checked as a whole, changed by dotted keys.

Environment variables never carry any of it. Imports no torch, so that a fault is reported at once.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from workloads.data.datasets import DATASETS
from workloads.errors import ConfigError
from workloads.tuning import space as search_space
from workloads.tuning.space import Dimension

CONFIGS = Path(__file__).resolve().parent / "configs"
AUGMENTATIONS = ("none", "flip_shift", "rand_augment", "trivial_augment", "auto_augment")
MIXES = ("none", "mixup", "cutmix")
MODELS = ("small_cnn", "resnet9", "resnet18", "mobilenet_v3_small", "mobilenet_v3_large")
NORMS = ("batch", "group")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("warmup_cosine", "one_cycle", "step")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
COMPRESSIONS = ("none", "fp16", "bf16", "power_sgd")

T = TypeVar("T")


def setting(
    default: Any = MISSING,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    one_of: Sequence[str] | None = None,
    pattern: str | None = None,
) -> Any:
    """A configuration key with its default and what values it allows."""
    bounds = {"at_least": at_least, "at_most": at_most, "above": above, "below": below}
    metadata = {"bounds": bounds, "one_of": one_of, "pattern": pattern}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images are learned from."""

    name: str = setting("fashion_mnist", one_of=DATASETS)
    validation_fraction: float = setting(0.1, above=0, below=1)
    """Share of each class of the training split that is kept for validation."""
    num_train: int | None = setting(None, at_least=1)
    """Images to train on, an equal share of each class; all of them if None."""
    augmentation: str = setting("none", one_of=AUGMENTATIONS)
    """All but `none` mirror and shift; the policies then change colours and shapes as their papers say."""
    num_operations: int = setting(2, at_least=1, at_most=10)
    """Of `rand_augment`: changes one after the other (N in the paper)."""
    magnitude: int = setting(9, at_least=0, at_most=30)
    """Of `rand_augment`: how strong each is (M in the paper)."""
    mix: str = setting("none", one_of=MIXES)
    """Whether each image is mixed with another."""
    mix_alpha: float = setting(1.0, above=0)
    """The part of the other is drawn from Beta(alpha, alpha)."""
    erase_probability: float = setting(0.0, at_least=0, at_most=1)
    """Of a random rectangle becoming black."""
    image_size: int = setting(64, at_least=8, at_most=1024)
    """Of `image_folder`: pixels a side to which its images are brought."""
    num_workers: int = setting(2, at_least=0, at_most=64)
    """Of `image_folder`: processes of each rank that read and decode images."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network is trained."""

    name: str = setting("small_cnn", one_of=MODELS)
    width: int | None = setting(None, at_least=4, at_most=512)
    """Channels of the first convolution, with which the others grow; as published if None (16 for small_cnn)."""
    norm: str = setting("batch", one_of=NORMS)
    dropout: float = setting(0.0, at_least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How it is trained."""

    name: str = setting("sgd", one_of=OPTIMIZERS)
    lr: float = setting(0.2, above=0)
    """The highest learning rate."""
    lr_batch_size: int | None = setting(None, at_least=1)
    """The batch size for which `lr` is meant: the rate grows with global_batch_size. Taken as it is if None."""
    momentum: float = setting(0.9, at_least=0, below=1)
    """Nesterov's, of sgd; the first beta of adam and adamw."""
    weight_decay: float = setting(5e-4, at_least=0)
    schedule: str = setting("warmup_cosine", one_of=SCHEDULES)
    warmup_fraction: float = setting(0.2, at_least=0, below=1)
    """Share of the run in which the rate rises."""
    label_smoothing: float = setting(0.0, at_least=0, below=1)
    max_grad_norm: float | None = setting(None, above=0)
    """Longer gradients are shortened to it."""
    ema_decay: float | None = setting(None, above=0, below=1)
    """Share that the averaged weights keep at a step; these are then the ones evaluated and registered."""
    patience_epochs: int | None = setting(None, at_least=1)
    """Epochs without a better validation accuracy after which the run ends; its best weights are then the result."""


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """In what precision and pieces it is computed; a run goes on in those with which it began."""

    precision: str = setting("auto", one_of=PRECISIONS)
    """auto: bf16 on a GPU that has it, else fp16 on one made for it, else fp32."""
    micro_batch_size: int | None = setting(None, at_least=1)
    """Most images of a rank at once; gradients are summed over the pieces. None: as many as the memory holds."""
    channels_last: bool = setting(True)
    compile: bool = setting(False)
    """Have torch.compile translate the model, which takes minutes once."""


@dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """How several ranks bring their gradients together."""

    bucket_mib: int = setting(25, at_least=1, at_most=1024)
    """Gradients that are sent together."""
    static_graph: bool = setting(False)
    """Promise that every step uses the same layers, so that sending can be planned."""
    compression: str = setting("none", one_of=COMPRESSIONS)
    power_sgd_rank: int = setting(2, at_least=1, at_most=64)
    power_sgd_start_step: int = setting(100, at_least=2)
    """Steps before which PowerSGD sends gradients as they are."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When a run's state is kept, beside the end of every epoch and of the run, and how many states stay."""

    every_steps: int | None = setting(None, at_least=1)
    """Optimizer steps; None for epochs alone."""
    keep_last: int = setting(2, at_least=1)
    """Newest ones that stay, beside the best."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """How a run's record is brought to the tracking server, beside the training."""

    every_s: float = setting(10.0, above=0)
    """Seconds from one request to the next, and from one look at the machine to the next."""
    wait_s: float = setting(30.0, at_least=0)
    """How long the end of a run waits for a server that does not answer."""


@dataclass(frozen=True, kw_only=True)
class RegistryConfig:
    """Under which name a trained model is kept, and when it becomes `staging`."""

    model_name: str = setting("vision-classifier", pattern=r"[A-Za-z0-9._-]+")
    staging_minimum: float = setting(0.85, at_least=0, at_most=1)
    """Validation accuracy from which a new version gets the alias `staging`."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What `tune` draws, and when its scheduler (ASHA) stops a trial early."""

    space: Mapping[str, Dimension] = field(default_factory=dict)
    """From dotted key to where its values are drawn from."""
    grace_epochs: int = setting(1, at_least=1)
    reduction_factor: int = setting(3, at_least=2)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run."""

    name: str = setting("run", pattern=r"[A-Za-z0-9._-]+")
    """Prefix of run names, and name of the experiment that holds them."""
    seed: int = setting(0, at_least=0, at_most=2**31 - 1)
    epochs: int = setting(6, at_least=1)
    max_steps: int | None = setting(None, at_least=1)
    """Optimizer steps after which the run ends even if epochs are left."""
    global_batch_size: int = setting(256, at_least=1)
    """Images per optimizer step, over all ranks."""
    num_threads: int | None = setting(None, at_least=1)
    """CPU threads of each rank; cores divided by ranks if None."""
    device: str = setting("auto", one_of=DEVICES)
    timeout_s: float = setting(120.0, above=0)
    """How long a rank waits for the others in a collective."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    search: SearchConfig = field(default_factory=SearchConfig)

    def with_values(self, values: Mapping[str, object]) -> TrainConfig:
        """This config with dotted keys changed, checked again; raises ConfigError with every fault.

        The one way for `--set`, search spaces and tests: `config.with_values({"optim.lr": 0.1})`.
        """
        return read_config(self.as_data(), values, source=f"Config {self.name}")

    def as_data(self) -> dict[str, Any]:
        """Nested plain values, as a yaml file would give them."""
        data: dict[str, Any] = _as_data(self)
        return data

    def flattened(self) -> dict[str, object]:
        """From dotted key to value, for all that shapes a run: the `search` section is left out."""
        return {key: value for key, value in _flatten(self.as_data()) if not key.startswith("search.")}

    def as_yaml(self) -> str:
        """A yaml file that loads as this config."""
        return yaml.safe_dump(self.as_data(), sort_keys=False)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One key that must change before a config can be used."""

    key: str
    found: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.key}: {self.allowed} (got {self.found!r})"


def load_config(name_or_path: str, values: Mapping[str, object] | None = None) -> TrainConfig:
    """The committed config of that name, or the one in a yaml file, with dotted `values` put over it.

    Raises ConfigError when there is no such config, or with every fault in it.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIGS / f"{name_or_path}.yaml"
    if not path.is_file():
        names = config_names()
        hint = _did_you_mean(name_or_path, names)
        raise ConfigError(
            f"No config {name_or_path}{hint}: name one of {', '.join(names)}, or the path of a .yaml file that exists"
        )
    data = {"name": path.stem, **_read_yaml(path)}
    return read_config(data, values or {}, source=f"Config {name_or_path}")


def config_names() -> list[str]:
    """The names of the committed configs."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Dotted keys and values from `KEY=VALUE` texts, each value read as yaml; raises ConfigError."""
    values: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment}: must be KEY=VALUE, for example --set optim.lr=0.1")
        try:
            values[key.strip()] = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
        except yaml.YAMLError:
            raise ConfigError(f"--set {assignment}: the value is not yaml; put it in quotes") from None
    return values


def read_config(data: Mapping[str, Any], values: Mapping[str, object], *, source: str) -> TrainConfig:
    """A checked TrainConfig from nested `data` with dotted `values` put over it; raises ConfigError with all faults."""
    faults: list[Fault] = []
    config = _build(TrainConfig, _overlaid(data, values, faults), "", faults)
    if not faults:
        faults += _space_faults(config)
    if faults:
        count = "1 key is" if len(faults) == 1 else f"{len(faults)} keys are"
        raise ConfigError("\n  ".join([f"{source} cannot be used until {count} corrected:", *map(str, faults)]))
    return config


class _Loader(yaml.SafeLoader):
    """yaml as its 1.2 edition reads numbers: 1e-3 is one, which PyYAML takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"{path}, line {line}: not yaml: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a yaml text file") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{path}: must be keys and values, for example `epochs: 5`")
    return data


def _overlaid(data: Mapping[str, Any], values: Mapping[str, object], faults: list[Fault]) -> dict[str, Any]:
    """A copy of nested `data` in which each dotted key has its new value."""
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    for key, value in values.items():
        section, dot, rest = key.partition(".")
        if not dot:
            result[section] = value
            continue
        inner = result.setdefault(section, {})
        if section == "search" and rest.startswith("space."):
            inner["space"] = {**inner.get("space", {}), rest.removeprefix("space."): value}
        elif isinstance(inner, dict):
            inner[rest] = value
        else:
            faults.append(Fault(key=key, found=value, allowed=f"{section} is no section{_hint(key)}"))
    return result


def _build(kind: type[T], data: Mapping[str, Any], prefix: str, faults: list[Fault]) -> T:
    """A `kind` from plain values; where one does not fit, its default stands in and a fault is added."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # always called with a dataclass
    types = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in data.items():
        dotted = prefix + key
        if key not in known:
            faults.append(Fault(key=dotted, found=value, allowed=f"no such key{_hint(dotted)}"))
        elif is_dataclass(types[key]):
            if isinstance(value, Mapping):
                arguments[key] = _build(types[key], value, f"{dotted}.", faults)
            else:
                faults.append(Fault(key=dotted, found=value, allowed="must be a section of keys and values"))
        elif dotted == "search.space":
            arguments[key] = _space(value, faults)
        else:
            allowed = _why_not(value, types[key], known[key])
            if allowed:
                faults.append(Fault(key=dotted, found=value, allowed=allowed))
            else:
                arguments[key] = float(value) if types[key] is float else value
    return kind(**arguments)


def _why_not(value: object, kind: Any, key: Field[Any]) -> str | None:
    """What the key allows, if `value` is not that."""
    if value is None and type(None) in get_args(kind):
        return None
    [kind] = [k for k in get_args(kind) or (kind,) if k is not type(None)]
    one_of, pattern, bounds = (key.metadata[name] for name in ("one_of", "pattern", "bounds"))
    if one_of:
        return None if value in one_of else f"must be one of {', '.join(one_of)}"
    if kind is bool:
        return None if isinstance(value, bool) else "must be true or false"
    if pattern:
        matches = isinstance(value, str) and re.fullmatch(pattern, value)
        return None if matches else "must be text of letters, digits, '.', '_' and '-'"
    number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if number and math.isfinite(value) and all(_within(value, name, bound) for name, bound in bounds.items()):  # type: ignore[arg-type]  # `number` says so
        return None
    words = [f"{name.replace('_', ' ')} {bound:g}" for name, bound in bounds.items() if bound is not None]
    return f"must be {'a number' if kind is float else 'a whole number'} {' and '.join(words)}".rstrip()


def _within(value: float, name: str, bound: float | None) -> bool:
    tests: dict[str, Callable[[float, float], bool]] = {
        "at_least": lambda value, bound: value >= bound,
        "at_most": lambda value, bound: value <= bound,
        "above": lambda value, bound: value > bound,
        "below": lambda value, bound: value < bound,
    }
    return bound is None or tests[name](value, bound)


def _space(found: object, faults: list[Fault]) -> dict[str, Dimension]:
    if not isinstance(found, Mapping):
        faults.append(Fault(key="search.space", found=found, allowed="must be dotted keys and their values"))
        return {}
    space = {}
    for key, value in found.items():
        try:
            space[str(key)] = Dimension.parse(value)
        except ValueError as error:
            faults.append(Fault(key=f"search.space.{key}", found=value, allowed=str(error)))
    return space


def _space_faults(config: TrainConfig) -> list[Fault]:
    """The faults that a trial would have: each key is tried with the ends of what it is drawn from."""
    data = config.as_data() | {"search": {}}
    space = config.search.space
    faults = [
        Fault(key=f"search.space.{key}", found=found, allowed=allowed)
        for key, found, allowed in search_space.faults(space)
    ]
    for key, dimension in space.items():
        why_not: dict[str, Fault] = {}
        for value in dimension.ends:
            found: list[Fault] = []
            _build(TrainConfig, _overlaid(data, {key: value}, found), "", found)
            for fault in found[:1]:
                why_not.setdefault(fault.allowed, Fault(key=f"search.space.{key}", found=value, allowed=fault.allowed))
        faults += why_not.values()
    return faults


def _as_data(value: Any) -> Any:
    if isinstance(value, Dimension):
        return value.as_data()
    if is_dataclass(value):
        return {f.name: _as_data(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _as_data(inner) for key, inner in value.items()}
    return value


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _hint(key: str) -> str:
    """The nearest key that exists: by its whole name, else by its last part (`lr` means `optim.lr`)."""
    known = [name for name, _ in _flatten(TrainConfig().as_data())]
    by_last_part = {name.rpartition(".")[2]: name for name in known}
    near = difflib.get_close_matches(key, known, n=1) or [
        by_last_part[part] for part in difflib.get_close_matches(key.rpartition(".")[2], by_last_part, n=1)
    ]
    return f"; did you mean {near[0]}?" if near else f"; sections and keys are {', '.join(known)}"


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
