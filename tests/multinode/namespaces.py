"""Two nodes on one machine: two network namespaces joined by a link whose rate the kernel holds down.

Each namespace has its own loopback, addresses and ports, so programs in it see what they would see on a node of their own:
nothing but `link0` leads to the other. Token-bucket filters (`tc tbf`) at both ends shape both directions.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from dualpipe_ref.schedule.errors import InputError

PREFIX = "dualpipe"
LINK = "link0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
# What may wait at the filter: more than all sockets together ever hand over, so that nothing is dropped.
QUEUE_BYTES = 256_000_000
# The largest frames that a veth carries. What a network card would do for each frame the processor must do here:
# with frames of 1500 bytes that costs a quarter of a core at 200 Mbit/s, with these a twentieth.
FRAME_BYTES = 65_000
ETHERNET_HEADER = 14
# A whole message fits into the sockets, so that the kernel alone, like a network card, carries it on while the process
# computes; and the sender's window does not shrink in the pauses. The namespace's own settings, not the machine's.
_SOCKETS = {
    "tcp_wmem": "4096 16777216 16777216",
    "tcp_rmem": "4096 16777216 16777216",
    "tcp_slow_start_after_idle": "0",
    "tcp_congestion_control": "reno",
}
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_numbers = count()


@dataclass(frozen=True)
class Node:
    """A network namespace and its address on the link."""

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in this node."""
        return [_tool("ip"), "netns", "exec", self.name, *words]

    def processes(self) -> list[int]:
        listed = _run("ip", "netns", "pids", self.name, is_checked=False)
        return [int(word) for word in listed.split()]

    def sent_and_dropped(self) -> tuple[int, int]:
        """Packets that this end of the link has sent, and those it lost, since it was made."""
        folder = Path("/sys/class/net") / LINK / "statistics"
        names = ("tx_packets", "tx_dropped")
        said = subprocess.run(
            self.command("cat", *(str(folder / name) for name in names)),
            capture_output=True,
            text=True,
            check=True,
        )
        sent, dropped = map(int, said.stdout.split())
        return sent, dropped


def _tool(name: str) -> str:
    return shutil.which(name, path=_SEARCH) or name


def _run(tool: str, *words: str, is_checked: bool = True) -> str:
    """Run `ip` or `tc`, out of reach of the terminal's control-C, so that a clean-up is not cut short."""
    ended = subprocess.run(
        [_tool(tool), *words], capture_output=True, text=True, check=False, start_new_session=True
    )
    if is_checked and ended.returncode:
        raise RuntimeError(f"{tool} {' '.join(words)}: {ended.stderr.strip()}")
    return ended.stdout


@contextmanager
def two_nodes(
    rate_mbit: float | None,
    delay_ms: float = 0,
    burst_bytes: int = 66_000,
    frame_bytes: int = FRAME_BYTES,
) -> Iterator[tuple[Node, Node]]:
    """Two nodes and a link of `rate_mbit` Mbit/s a direction (None: as fast as it goes), gone afterwards.

    `burst_bytes` may pass at full speed after a pause: take much less than a message. `frame_bytes` is the link's MTU.
    `delay_ms` is added to each direction and needs the kernel's netem.

    Raises InputError for what no link can be, RuntimeError where the machine refuses (see `why_not`).
    """
    _check(rate_mbit, delay_ms, burst_bytes, frame_bytes)
    remove_leftovers()
    stem = f"{PREFIX}-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}"
    nodes = tuple(Node(f"{stem}-{end}", at) for end, at in zip("ab", ADDRESSES, strict=True))
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(_remove, node.name)
            _run("ip", "netns", "add", node.name)
        _join(*nodes, frame_bytes)
        for node in nodes:
            _set_sockets(node)
            _shape(node, rate_mbit, delay_ms, burst_bytes)
        yield nodes[0], nodes[1]


def _check(rate_mbit: float | None, delay_ms: float, burst_bytes: int, frame_bytes: int) -> None:
    if rate_mbit is not None and rate_mbit <= 0:
        raise InputError("a link's rate is above 0 Mbit/s, or None", f"{rate_mbit}", "1")
    if not 576 <= frame_bytes <= 65_535:
        nearest = min(max(frame_bytes, 576), 65_535)
        raise InputError("a frame has 576 to 65535 bytes", f"{frame_bytes}", f"{nearest}")
    least = frame_bytes + ETHERNET_HEADER
    if burst_bytes < least:
        # A filter that holds less lets nothing pass, ever.
        raise InputError(
            "a burst holds at least one frame", f"{burst_bytes} bytes", f"{least} bytes"
        )
    if delay_ms < 0:
        raise InputError("a delay is not negative", f"{delay_ms} ms", "0 ms")


def _join(first: Node, second: Node, frame_bytes: int) -> None:
    words = (
        "mtu",
        str(frame_bytes),
        "type",
        "veth",
        "peer",
        "name",
        LINK,
        "netns",
        second.name,
        "mtu",
        str(frame_bytes),
    )
    _run("ip", "link", "add", LINK, "netns", first.name, *words)
    for node in (first, second):
        _run("ip", "-n", node.name, "addr", "add", f"{node.address}/24", "dev", LINK)
        _run("ip", "-n", node.name, "link", "set", "lo", "up")
        _run("ip", "-n", node.name, "link", "set", LINK, "up")


def _set_sockets(node: Node) -> None:
    """Where a kernel keeps one of these to itself, its own choice stays."""
    lines = (f"echo {value} > /proc/sys/net/ipv4/{name}" for name, value in _SOCKETS.items())
    subprocess.run(node.command("sh", "-c", "; ".join(lines)), capture_output=True, check=False)


def _shape(node: Node, rate_mbit: float | None, delay_ms: float, burst_bytes: int) -> None:
    place = ["root"]
    add = ("-n", node.name, "qdisc", "add", "dev", LINK)
    if delay_ms:
        _run(
            "tc",
            *add,
            "root",
            "handle",
            "1:",
            "netem",
            "delay",
            f"{delay_ms}ms",
            "limit",
            "1000000",
        )
        place = ["parent", "1:1"]
    if rate_mbit is not None:
        rate = ("rate", f"{round(rate_mbit * 1e6)}bit", "burst", str(burst_bytes))
        _run("tc", *add, *place, "handle", "10:", "tbf", *rate, "limit", str(QUEUE_BYTES))


def _remove(name: str) -> None:
    """End what still runs in a namespace, then the namespace; the link goes with it."""
    node = Node(name, "")
    for _ in range(50):
        left = node.processes()
        if not left:
            break
        for process in left:
            end_process(process)
        time.sleep(0.1)
    _run("ip", "netns", "del", name, is_checked=False)


def end_process(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def remove_leftovers() -> list[str]:
    """Remove the namespaces that a run left which no longer lives; their names."""
    left = [name for name in namespaces() if not _owner_lives(name)]
    for name in left:
        _remove(name)
    return left


def namespaces() -> list[str]:
    """All namespaces of this module, whoever made them."""
    listed = _run("ip", "netns", "list", is_checked=False).splitlines()
    names = [line.split()[0] for line in listed if line.strip()]
    return [name for name in names if name.startswith(f"{PREFIX}-")]


def _owner_lives(name: str) -> bool:
    process, started = name.split("-")[1:3]
    return _started(int(process)) == started


def _started(process: int) -> str | None:
    """When a process began, in clock ticks since boot: with its number, a name that is never used twice."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return status.rpartition(")")[2].split()[19]


@cache
def why_not(delay_ms: float = 0) -> str | None:
    """Why this machine cannot have two nodes, or None."""
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool, path=_SEARCH) is None]
    if missing:
        return (
            f"two nodes on one machine need {' and '.join(missing)} (Debian: apt install iproute2)"
        )
    if os.geteuid() != 0:
        return "two nodes on one machine need root, to make network namespaces"
    try:
        with two_nodes(100, delay_ms):
            return None
    except RuntimeError as refused:
        return f"this kernel refuses: {refused}"
