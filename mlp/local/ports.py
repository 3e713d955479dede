"""TCP ports of this machine that a platform uses."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from mlp.shared.errors import PlatformError

LOWEST, HIGHEST = 1024, 65535
# Below the range that systems take for outgoing connections (Linux: from 32768), which would come and go.
_FIRST, _COUNT = 20000, 12000


def parse_fixed(options: Collection[str], names: Collection[str]) -> dict[str, int]:
    """Return the ports that `--port NAME=N` options fix; raise PlatformError for a malformed name, number or pair."""
    fixed: dict[str, int] = {}
    for option in options:
        name, _, number = option.partition("=")
        if name not in names:
            raise PlatformError(f"--port {option}: no service {name!r}; choose from {', '.join(names)}")
        if not number.isascii() or not number.isdigit() or not LOWEST <= int(number) <= HIGHEST:
            raise PlatformError(f"--port {option}: {number!r} is not a port; give a number from {LOWEST} to {HIGHEST}")
        if fixed.get(name, int(number)) != int(number):
            raise PlatformError(f"--port {name} is given twice: {fixed[name]} and {number}; give it once")
        fixed[name] = int(number)
    taken: dict[int, str] = {}
    for name, port in fixed.items():
        if port in taken:
            raise PlatformError(f"--port gives {taken[port]} and {name} the same port {port}; give each its own")
        taken[port] = name
    return fixed


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port`, on any address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  a probe that never listens; Ray takes all addresses
        except OSError:
            return False
    # With SO_REUSEADDR some systems let a second server bind beside a first one on a narrower address.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def holder(port: int) -> str:
    """Return who listens on `port`, as far as this user may know: `by process 123 (nginx)` or `by another program`."""
    import psutil

    try:
        for one in psutil.net_connections(kind="tcp"):
            if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid:
                return f"by process {one.pid} ({psutil.Process(one.pid).name()})"
    except (psutil.Error, OSError):
        pass
    return "by another program"


def choose_ports(
    names: Collection[str],
    *,
    home: Path,
    kept: Mapping[str, int],
    fixed: Mapping[str, int],
    remembered: Mapping[str, int],
    say: Callable[[str], None],
) -> dict[str, int]:
    """Return a port for each name: `kept` as it is (its server runs), else the fixed, the remembered or a free one.

    First choices follow from the path of the home, so that a platform keeps its addresses and two rarely meet. `say`
    is told of a remembered port that is lost. Raises PlatformError for a fixed port that is taken.
    """
    chosen = dict(kept)
    for name in names:
        if name in kept:
            continue
        used = set(chosen.values()) | {port for other, port in fixed.items() if other != name}
        wanted = fixed.get(name)
        if wanted is not None:
            if wanted in chosen.values() or not is_free(wanted):
                raise PlatformError(
                    f"port {wanted} for {name} is taken {holder(wanted)}; end that, or give another --port {name}=N"
                )
        elif name in remembered and remembered[name] not in used and is_free(remembered[name]):
            wanted = remembered[name]
        else:
            wanted = _first_free(f"{home}:{name}", used)
            if name in remembered:
                say(f"{name}: port {remembered[name]} is taken {holder(remembered[name])}; using {wanted}")
        chosen[name] = wanted
    return chosen


def _first_free(seed: str, used: Collection[int]) -> int:
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    for step in range(_COUNT):
        port = _FIRST + (start + step) % _COUNT
        if port not in used and is_free(port):
            return port
    raise PlatformError(f"no free port from {_FIRST} to {_FIRST + _COUNT - 1}; end programs that listen there")
