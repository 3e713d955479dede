"""Download of charts from their repositories into the chart store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.facts import charts
from infra.facts.charts import Chart
from mlp.charts.archives import ArchiveError, data_of
from mlp.charts.repositories import DownloadError, Repositories
from mlp.charts.store import ChartStore, archive_name
from mlp.shared.errors import PlatformError
from mlp.shared.progress import Progress, during


def pins() -> list[Chart]:
    """Return every chart that infra/facts/charts.py pins, by name."""
    return sorted((one for one in vars(charts).values() if isinstance(one, Chart)), key=lambda one: one.name)


def chosen(names: Sequence[str], among: Iterable[Chart]) -> list[Chart]:
    """Return the pins of these names, all without names. Raise PlatformError for a name that is not pinned."""
    known = {one.name: one for one in among}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise PlatformError(
            f"{', '.join(unknown)}: no chart of that name is pinned in infra/facts/charts.py; "
            f"the charts are {', '.join(sorted(known))}"
        )
    return [known[name] for name in dict.fromkeys(names)] if names else list(known.values())


def pull(wanted: Iterable[Chart], store: ChartStore, repositories: Repositories, progress: Progress) -> None:
    """Download the charts into the store, except those that it has in their version, with their archive.

    Each is put there whole or not at all. Raises PlatformError with the address and the reason for those that could
    not be had, when all others are there.
    """
    faults: dict[str, str] = {}
    for chart in wanted:
        if _is_there(chart, store):
            progress.say(f"{chart.name} {chart.version} is there")
            continue
        try:
            with during(progress, f"fetching {chart.name} {chart.version} from {chart.repository}"):
                archive = repositories.archive(chart)
                files = data_of(archive, name=chart.name, version=chart.version)
        except DownloadError as error:
            faults[chart.name] = str(error)
        except ArchiveError as error:
            faults[chart.name] = f"{chart.repository}: {error}"
        else:
            put(store.folder, chart.name, {**files, archive_name(chart.name, chart.version): archive})
            progress.say(f"{chart.name} {chart.version}: pulled")
    if faults:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in faults.items())
        raise PlatformError(
            f"{len(faults)} {'chart' if len(faults) == 1 else 'charts'} could not be pulled, and nothing of them was "
            f"kept:\n{lines}\nmake the addresses reachable from here (HTTPS_PROXY names a proxy), or correct the pins "
            f"in infra/facts/charts.py, and run `mlp charts pull {' '.join(faults)}`"
        )


def _is_there(chart: Chart, store: ChartStore) -> bool:
    try:
        there = store.chart(chart.name)
    except PlatformError:  # what cannot be read is replaced
        return False
    return bool(there and there.version == chart.version and store.archive(chart.name, chart.version))


def put(folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Replace the chart's folder: write beside it, then rename. Raise PlatformError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as temporary:
            arriving = Path(temporary) / "arriving"
            for path, content in files.items():
                target = arriving / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            with suppress(FileNotFoundError):
                (folder / name).rename(Path(temporary) / "replaced")
            arriving.rename(folder / name)
    except OSError as error:
        raise PlatformError(
            f"{name} could not be written to {folder} ({error.strerror}); free or unlock the place and pull again"
        ) from error
