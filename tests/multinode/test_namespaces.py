"""The two nodes themselves: apart, joined, gone afterwards, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from dualpipe_ref import InputError
from tests.multinode.namespaces import namespaces, remove_leftovers, two_nodes, why_not
from tests.signals import control_c_counts
from tests.test_project.files import ROOT

REASON = why_not() or ""
needs_nodes = pytest.mark.skipif(bool(REASON), reason=REASON)
HOLD = """
from tests.multinode.namespaces import two_nodes
with two_nodes(100) as nodes:
    print(nodes[0].name, nodes[1].name, flush=True)
    input()
"""


def holding() -> tuple[subprocess.Popen[str], set[str]]:
    """A process that holds two nodes, and their names."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=control_c_counts,
    )
    assert process.stdout is not None
    return process, set(process.stdout.readline().split())


@needs_nodes
def test_the_nodes_see_each_other_and_nothing_else() -> None:
    with two_nodes(100) as (first, second):
        devices = subprocess.run(
            first.command("ls", "/sys/class/net"), capture_output=True, text=True, check=True
        )
        assert set(devices.stdout.split()) == {"lo", "link0"}
        listen = "import socket; print(socket.create_server(('10.77.0.2', 1)).accept()[1][0])"
        ask = (
            "import socket, time\n"
            "for _ in range(99):\n"
            "    try: socket.create_connection(('10.77.0.2', 1), 5); break\n"
            "    except ConnectionRefusedError: time.sleep(0.1)"
        )
        with subprocess.Popen(
            second.command(sys.executable, "-c", listen), stdout=subprocess.PIPE, text=True
        ) as server:
            subprocess.run(first.command(sys.executable, "-c", ask), check=True, timeout=20)
            assert server.communicate(timeout=20)[0] == "10.77.0.1\n"


@needs_nodes
def test_nodes_are_gone_after_an_error_with_what_ran_in_them() -> None:
    def fail() -> None:
        with two_nodes(None) as nodes:
            names.extend(node.name for node in nodes)
            started.append(
                subprocess.Popen(nodes[0].command("sleep", "60"), start_new_session=True)
            )
            while not nodes[0].processes():
                time.sleep(0.01)
            raise ZeroDivisionError

    names: list[str] = []
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert started[0].wait(timeout=10) == -signal.SIGKILL
    assert not set(names) & set(namespaces())


@needs_nodes
def test_an_interrupt_leaves_nothing() -> None:
    process, names = holding()
    with process:
        assert len(names & set(namespaces())) == 2
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
    assert not names & set(namespaces())


@needs_nodes
def test_what_a_killed_run_left_is_removed_and_a_living_one_is_spared() -> None:
    dead, lost = holding()
    living, kept = holding()
    with dead, living:
        dead.kill()
        dead.wait(timeout=20)
        assert lost <= set(namespaces())
        assert lost <= set(remove_leftovers())
        assert not lost & set(namespaces())
        assert kept <= set(namespaces())
        living.communicate("\n", timeout=20)
    assert not kept & set(namespaces())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "above 0 Mbit/s"),
        ((100, -1), "nearest legal: 0 ms"),
        ((100, 0, 1000, 1500), "got 1000 bytes; nearest legal: 1514 bytes"),
        ((100, 0, 99_999, 70_000), "nearest legal: 65535"),
    ],
)
def test_a_link_that_cannot_be_is_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(InputError, match=message), two_nodes(*arguments):  # type: ignore[arg-type]
        pass


def test_why_not_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.multinode.namespaces._SEARCH", "/nowhere")
    assert "need ip and tc" in (why_not.__wrapped__() or "")


def test_why_not_says_that_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.multinode.namespaces.shutil.which", lambda *_, **__: "/bin/true")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "need root" in (why_not.__wrapped__() or "")


@needs_nodes
def test_a_link_with_a_delay() -> None:
    reason = why_not(10)
    if reason is not None:
        assert "netem" in reason
        pytest.skip(reason)
    with two_nodes(100, 10) as (first, _):
        ask = "import socket; socket.create_connection(('10.77.0.2', 1), 5)"
        timed = f"import time; b = time.time()\ntry: {ask}\nexcept OSError: print(time.time() - b)"
        said = subprocess.run(
            first.command(sys.executable, "-c", timed), capture_output=True, text=True, check=True
        )
        assert float(said.stdout) > 0.02, "there and back"
