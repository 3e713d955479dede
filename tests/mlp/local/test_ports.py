import os
import socket
from pathlib import Path

import pytest

from mlp.local.ports import choose_ports, is_free, parse_fixed
from mlp.shared.errors import PlatformError

NAMES = ["web", "store"]


@pytest.fixture
def taken():
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def choose(*, home="/a", kept=None, fixed=None, remembered=None, said=None):
    told = [] if said is None else said
    return choose_ports(
        NAMES, home=Path(home), kept=kept or {}, fixed=fixed or {}, remembered=remembered or {}, say=told.append
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["shop=2000"], "no service 'shop'; choose from web, store"),
        (["web"], "'' is not a port; give a number from 1024 to 65535"),
        (["web=80"], "'80' is not a port"),
        (["web=65536"], "'65536' is not a port"),
        (["web=-1"], "'-1' is not a port"),
        (["web=\u0663\u0663\u0663\u0663"], "is not a port"),
        (["web=2000", "web=2001"], "--port web is given twice: 2000 and 2001"),
        (["web=2000", "store=2000"], "web and store the same port 2000"),
    ],
)
def test_a_port_option_that_cannot_be_is_named(options, said):
    with pytest.raises(PlatformError, match=said):
        parse_fixed(options, NAMES)


def test_port_options_are_read():
    assert parse_fixed(["web=2000", "store=2001", "web=2000"], NAMES) == {"web": 2000, "store": 2001}


def test_a_home_keeps_its_first_ports_and_another_has_others():
    first, again, other = choose(home="/a"), choose(home="/a"), choose(home="/b")
    assert first == again
    assert len({*first.values(), *other.values()}) == 4


def test_a_port_is_taken_while_somebody_listens(taken):
    assert not is_free(taken)


def test_a_fixed_port_that_is_taken_names_who_has_it(taken):
    with pytest.raises(PlatformError, match=rf"port {taken} for web is taken by process {os.getpid()} \("):
        choose(fixed={"web": taken})


def test_a_remembered_port_that_is_taken_is_given_up_and_told(taken):
    said: list[str] = []
    chosen = choose(remembered={"web": taken}, said=said)
    assert chosen["web"] != taken
    assert said == [f"web: port {taken} is taken by process {os.getpid()} (python); using {chosen['web']}"] or (
        f"port {taken} is taken by process {os.getpid()}" in said[0]
    )


def test_remembered_and_fixed_ports_that_are_free_are_used():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
    assert choose(remembered={"web": first}, fixed={"store": second}) == {"web": first, "store": second}


def test_the_port_of_a_server_that_runs_is_kept_though_it_is_taken(taken):
    assert choose(kept={"web": taken})["web"] == taken


def test_a_fixed_port_is_not_given_to_another_service(taken):
    with pytest.raises(PlatformError, match=r"port \d+ for store is taken"):
        choose(kept={"web": taken}, fixed={"store": taken})


def test_a_fixed_port_wins_over_what_another_service_remembers():
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    chosen = choose(remembered={"web": port}, fixed={"store": port})
    assert chosen["store"] == port
    assert chosen["web"] != port
