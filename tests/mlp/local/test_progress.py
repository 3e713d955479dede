import re

from rich.console import Console

from mlp.shared.progress import PlainLines, Spinner, during, progress


def test_without_a_terminal_each_thing_is_a_line_on_stderr(capsys):
    told = progress()
    assert isinstance(told, PlainLines)
    with during(told, "web: starting"):
        told.say("web: running")
    assert capsys.readouterr() == ("", "web: starting\nweb: running\n")


def test_at_a_terminal_all_that_goes_on_is_named_beside_a_spinner():
    console = Console(force_terminal=True, width=80, record=True)
    told = Spinner(console)
    with during(told, "web: starting"), during(told, "store: starting"):
        told.say("a [line]")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.export_text())
    assert "a [line]" in shown
    assert "web: starting, store: starting" in shown
