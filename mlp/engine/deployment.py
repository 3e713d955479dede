"""Run a stack program in this process, unchanged, against a cloud that is not AWS.

The Python SDK's mock monitor replaces Pulumi's engine: the program registers its resources with it as it would with the
real one. It is for planning, tests and the laptop; real environments are deployed by Pulumi alone.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import runpy
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config
from pulumi.runtime import mocks, settings, stack
from pulumi.runtime.proto import resource_pb2

from mlp.engine import eks_component
from mlp.engine.aliases import former_urns
from mlp.engine.cloud import Cloud, Created, Place, Registration
from mlp.engine.options import options
from mlp.engine.programs import Program, StackConfig
from mlp.engine.values import Secret, from_wire, revealed, to_wire
from mlp.shared.errors import PlatformError

ORGANIZATION = "organization"
"""Organization name of Pulumi's self-managed backends."""
_STACK = "pulumi:pulumi:Stack"
_GET_RESOURCE = "pulumi:pulumi:getResource"
_STACK_REFERENCE = "pulumi:pulumi:StackReference"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as it was registered, and as the cloud created it; `created` is None for a component."""

    wanted: Registration
    created: Created | None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """URNs of the resources of whose outputs each input is made."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The result of a program: its resources by URN, its outputs (secrets are `Secret`) and its warnings."""

    label: str
    project: str
    stack: str
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Return the name under which another stack reads this one's outputs."""
        return f"{ORGANIZATION}/{self.project}/{self.stack}"

    def of_type(self, type_: str) -> list[Resource]:
        """Return the resources of one type, ordered by URN."""
        return [one for one in self.resources.values() if one.wanted.type == type_]


def run_program(
    program: Program, stack_name: str, cloud: Cloud, *, references: Mapping[str, Mapping[str, Any]] | None = None
) -> Deployment:
    """Run `program` as stack `stack_name` against `cloud`.

    `references` holds the outputs of other stacks by name, for programs that read them. Raise PlatformError with the
    program's own message for wrong settings, a resource type that the cloud does not know, and the like.
    """
    return run_declaration(
        lambda: runpy.run_path(str(program.entry), run_name="__main__"),
        cloud,
        label=program.label,
        project=program.project,
        stack_name=stack_name,
        config=program.config(stack_name),
        references=references,
    )


def run_declaration(
    declare: Callable[[], object],
    cloud: Cloud,
    *,
    label: str = "declaration",
    project: str = "ml-platform",
    stack_name: str = "test",
    config: StackConfig | None = None,
    references: Mapping[str, Mapping[str, Any]] | None = None,
) -> Deployment:
    """Run `declare`, which registers resources and exports outputs, as `run_program` runs a program's file."""
    monitor = _Monitor(cloud, references or {})
    # A context of its own: the SDK keeps what it runs in context variables, and several programs run one by one.
    messages, outputs = contextvars.copy_context().run(_run, declare, project, stack_name, config, monitor)
    return Deployment(
        label=label,
        project=project,
        stack=stack_name,
        resources=dict(sorted(monitor.made.items())),
        outputs=outputs,
        warnings=tuple(messages),
    )


def _run(
    declare: Callable[[], object], project: str, stack_name: str, config: StackConfig | None, monitor: _Monitor
) -> tuple[list[str], dict[str, Any]]:
    log = _Log()
    runtime_config.set_all_config(config.values if config else {}, list(config.secret_keys) if config else [])
    with warnings.catch_warnings():
        # When a program fails, the outputs that were to be computed are dropped, and each would warn of it.
        warnings.filterwarnings("ignore", "coroutine 'Output", RuntimeWarning)
        try:
            with _without_collections():
                return log.messages, asyncio.run(_execute(declare, project, stack_name, monitor, log))
        except Exception as error:
            # The program sees a cloud's fault through several layers of the SDK; the fault itself is the message.
            fault, monitor.fault = monitor.fault or error, None
            if not isinstance(fault, PlatformError | pulumi.RunError):
                raise
            message = str(fault)
        del fault
        gc.collect()
    raise PlatformError(message)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause garbage collection: it walks all of the SDKs' types, which took two thirds of a plan's time."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.enable()


async def _execute(
    declare: Callable[[], object], project: str, stack_name: str, monitor: _Monitor, log: _Log
) -> dict[str, Any]:
    # A fault reaches every output that waits for it; `wait_for_rpcs` raises the first, the others are its echo.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    # What an earlier program left pending belongs to its own event loop.
    settings.SETTINGS.outputs, settings.SETTINGS.lock = set(), threading.Lock()
    settings.ROOT.set(None)
    mocks.set_mocks(
        _Unused(),
        project=project,
        stack=stack_name,
        preview=False,
        logger=log,
        monitor=monitor,
        organization=ORGANIZATION,
    )
    declare()
    await stack.wait_for_rpcs()
    root = settings.get_root_resource()
    if not isinstance(root, stack.Stack):
        raise TypeError(f"the program replaced the root stack by {root!r}")
    outputs: dict[str, Any] = {}
    for name, value in sorted(root.outputs.items()):
        output = pulumi.Output.from_input(value)
        plain = await output.future()
        outputs[name] = Secret(plain) if await output.is_secret() else plain
    return outputs


class _Monitor(mocks.MockMonitor):
    """A replacement of Pulumi's engine that has the cloud create every custom resource.

    The SDK calls it from a pool of threads.
    """

    def __init__(self, cloud: Cloud, references: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(_Unused())
        self.cloud = cloud
        self.references = references
        self.made: dict[str, Resource] = {}
        self.fault: BaseException | None = None
        self._regions: dict[str, str] = {}
        self._lock = threading.RLock()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Return a URN as Pulumi's engine forms it, with the types of all ancestors."""
        ancestors = parent.split("::")[2] if parent else _STACK
        qualified = type_ if ancestors == _STACK else f"{ancestors}${type_}"
        return "::".join([f"urn:pulumi:{settings.get_stack()}", settings.get_project(), qualified, name])

    def RegisterResource(self, request: Any) -> Any:
        """Create the resource that the program registers, and return its id and outputs."""
        if request.type == _STACK:
            return resource_pb2.RegisterResourceResponse(urn=self.make_urn("", request.type, request.name))
        above = self.made.get(request.parent)
        parent = above.wanted if above else None
        with self._recording_fault():
            given = options(request, parent)
        wanted = self._registration(request, from_wire(request.object), custom=request.custom, **given)
        wanted = replace(wanted, aliases=former_urns(wanted, request.aliases, parent))
        if request.remote:
            return self._expand(wanted)
        sources = {key: tuple(sorted(one.urns)) for key, one in request.propertyDependencies.items() if one.urns}
        created = self._make(wanted, sources)
        outputs = {**wanted.inputs, **(created.outputs if created else {})}
        for name in {*request.additionalSecretOutputs} & {*outputs}:
            outputs[name] = Secret(revealed(outputs[name]))
        return resource_pb2.RegisterResourceResponse(
            urn=wanted.urn, id=created.id if created else "", object=to_wire(outputs)
        )

    def ReadResource(self, request: Any) -> Any:
        """Return a stack reference from `references`; no other resource can be read offline."""
        wanted = self._registration(request, from_wire(request.properties), custom=True)
        with self._recording_fault():
            if wanted.type != _STACK_REFERENCE:
                raise PlatformError(f"{wanted.type} {wanted.name} is read from a cloud, which cannot be done offline")
            outputs = self.references.get(wanted.name)
            if outputs is None:
                known = ", ".join(self.references) or "none"
                raise PlatformError(f"stack {wanted.name} has not been run; the stacks to read from are: {known}")
        secrets = [name for name, value in outputs.items() if isinstance(value, Secret)]
        wanted = replace(wanted, id=wanted.name)
        with self._lock:
            self.made[wanted.urn] = Resource(wanted=wanted, created=Created(id=wanted.name))
        state = {"name": wanted.name, "outputs": outputs, "secretOutputNames": secrets}
        return resource_pb2.ReadResourceResponse(urn=wanted.urn, properties=to_wire(state))

    def Invoke(self, request: Any) -> Any:
        """Return the result of a lookup: from the registrations for a resource, from the cloud for all others."""
        with self._recording_fault():
            args = revealed(from_wire(request.args))
            if request.tok == _GET_RESOURCE:
                answer = self._state(args["urn"])
            else:
                answer = self.cloud.invoke(request.tok, args, self._place(_provider_urn(request.provider)))
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(to_wire(answer))  # a field by this name can be reached in no other way
        return response

    def _state(self, urn: str) -> Mapping[str, Any]:
        """Return the state of a whole resource, which the SDK looks up when an output refers to one."""
        created = self._made(urn)
        return {"urn": urn, "id": created.id, "state": {**self.made[urn].wanted.inputs, **created.outputs}}

    def _registration(self, request: Any, inputs: Mapping[str, Any], *, custom: bool, **given: Any) -> Registration:
        """Return the record of the resource in a register or read request; `given` are its options."""
        parent = request.parent
        return Registration(
            urn=self.make_urn(parent, request.type, request.name),
            type=request.type,
            name=request.name,
            parent=parent if parent and parent.split("::")[2] != _STACK else None,
            custom=custom,
            inputs=inputs,
            dependencies=tuple(sorted(request.dependencies)),
            provider=_provider_urn(request.provider or self._aws_provider_of_component(request)),
            **given,
        )

    @staticmethod
    def _aws_provider_of_component(request: Any) -> str:
        """Return the URN of the provider with which a remote component's children are created."""
        return str(request.providers.get("aws", "")) if getattr(request, "remote", False) else ""

    def _make(self, wanted: Registration, sources: Mapping[str, tuple[str, ...]] | None = None) -> Created | None:
        created: Created | None = None
        with self._recording_fault():
            if wanted.urn in self.made:
                raise PlatformError(f"{wanted.type} {wanted.name} is registered twice; give one another name")
            if wanted.custom:
                inputs = revealed(wanted.inputs)
                created = self.cloud.create(wanted, inputs, self._place(wanted.provider))
                wanted = replace(wanted, id=created.id)
        with self._lock:
            self.made[wanted.urn] = Resource(wanted=wanted, created=created, sources=sources or {})
            if wanted.type.startswith("pulumi:providers:") and "region" in wanted.inputs:
                self._regions[wanted.urn] = wanted.inputs["region"]
        return created

    def _expand(self, wanted: Registration) -> Any:
        if wanted.type != eks_component.TYPE:
            with self._recording_fault():
                raise PlatformError(f"{wanted.type} is a remote component that the offline engine cannot expand")
        self._make(wanted)
        with self._recording_fault():
            expanded = eks_component.expand(wanted, self._make_child, self._made)
        sources = {
            output: resource_pb2.RegisterResourceResponse.PropertyDependencies(urns=urns)
            for output, urns in expanded.sources.items()
        }
        return resource_pb2.RegisterResourceResponse(
            urn=wanted.urn, object=to_wire(expanded.outputs), propertyDependencies=sources
        )

    def _make_child(self, wanted: Registration) -> Created:
        return self._make(wanted) or Created(id="")

    def _made(self, urn: str) -> Created:
        resource = self.made.get(urn)
        if resource is None or resource.created is None:
            raise PlatformError(f"{urn} is referred to and was not made")
        return resource.created

    def _place(self, provider: str | None) -> Place:
        return Place(region=self._regions.get(provider or "", "us-east-1"))

    @contextmanager
    def _recording_fault(self) -> Iterator[None]:
        try:
            yield
        except BaseException as fault:
            with self._lock:
                self.fault = self.fault or fault
            raise


def _provider_urn(reference: str) -> str | None:
    """Return the URN in a provider reference, which is the URN and the id joined by `::`."""
    return reference.rpartition("::")[0] or None


class _Unused(mocks.Mocks):
    """A placeholder for the mocks that the SDK requires; the monitor never calls it."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"the offline engine's monitor answers lookups, {args.token} too")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(f"the offline engine's monitor answers registrations, {args.name} too")


class _Log(logging.Logger):
    """A logger that keeps the program's warnings."""

    def __init__(self) -> None:
        super().__init__("program", logging.WARNING)
        self.messages: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
