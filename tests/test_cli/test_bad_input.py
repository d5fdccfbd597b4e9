"""Whatever is asked for: one line that says what is wrong, and status 2. Never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.schedule import KINDS

from .command import GOLDEN, P8, call, refused, run

FILE = str(GOLDEN / "dualpipe_P4_m8.json")

# Arguments as one would type them (no argument here holds a blank), and a part of the answer.
REFUSED = {
    "": "the following arguments are required: COMMAND (see dualpipe-ref --help)",
    "shedule dualpipe": "invalid choice: 'shedule'",
    "schedule": "the following arguments are required: NAME (see dualpipe-ref schedule --help)",
    "schedule dualpip --ranks 8 --microbatches 20": "got 'dualpip'; nearest legal: 'dualpipe'",
    "schedule dualpip": "got 'dualpip'; nearest legal: 'dualpipe'",
    "schedule dualpipe": "dualpipe needs --ranks and --microbatches; got no --ranks",
    "schedule dualpipe --ranks 8": "got no --microbatches",
    "schedule dualpipe --microbatches 8": "got no --ranks",
    "schedule dualpipe --ranks --microbatches 8": "argument --ranks: expected one argument",
    "schedule dualpipe --ranks= --microbatches 8": "ranks is a whole number; got ranks = ''",
    "schedule dualpipe --ranks 8 --microbatches=--": "argument --microbatches: expected one argument",
    "schedule dualpipe --ranks 8 --microbatches=": "got microbatches = ''",
    "schedule dualpipe --ranks x --microbatches 8": "ranks is a whole number; got ranks = 'x'",
    "schedule dualpipe --ranks 2.0 --microbatches 8": "got ranks = '2.0'",
    "schedule dualpipe --ranks -4 --microbatches 8": "got P = -4; nearest legal: P = 2",
    "schedule dualpipe --ranks 7 --microbatches 20": "got P = 7; nearest legal: P = 8",
    "schedule dualpipe --ranks 8 --microbatches 12": "got P = 8, m = 12; nearest legal: m = 14",
    "schedule dualpipe --ranks 8 --microbatches 0": "got m = 0; nearest legal: m = 14",
    f"schedule dualpipe --ranks 8 --microbatches 1{'0' * 12}": "is at most 20,000,000",
    f"schedule dualpipe --ranks 8 --microbatches 1{'0' * 6000}": "microbatches is a whole number",
    "schedule 1f1b --ranks 8 --microbatches 8 --chunks 2": "1f1b has 1 stage a rank; got chunks = 2",
    "schedule interleaved --ranks 8 --microbatches 8 --chunks 1": "chunks must be an int of at least 2",
    "schedule interleaved --ranks 8 --microbatches 8 --chunks v": "chunks is a whole number",
    "schedule 1f1b --ranks 8 --microbatches 8 --format xml": "invalid choice: 'xml'",
    "schedule 1f1b --ranks 8 --microbatches 8 more": "unrecognized arguments: more",
    "schedule 1f1b --cost F=1 --ranks 8 --microbatches 8": "unrecognized arguments: --cost",
    "verify": "the following arguments are required: FILE.json",
    "verify none.json": "a schedule file must be readable; got none.json: No such file",
    "verify tests": "tests: Is a directory",
    "verify README.md": "a schedule file is one JSON object; got README.md: ",
    f"verify {FILE} --max-activations many": "invalid int value: 'many'",
    f"verify {FILE} --sends slow": "invalid choice: 'slow'",
    "simulate none.json": "No such file or directory",
    "simulate tests": "tests: Is a directory",
    "simulate dualpipe": "dualpipe needs --ranks and --microbatches",
    f"simulate {FILE} --cost F": "--cost takes OP=TIME with OP one of F, I, W, B, FB; got 'F'",
    f"simulate {FILE} --cost =1": "got '=1'",
    f"simulate {FILE} --cost X=1": "got 'X=1'",
    f"simulate {FILE} --cost F=": "F is a number such as 1, 2.2 or 11/5; got F = ''",
    f"simulate {FILE} --cost F=1,": "got F = ''",
    f"simulate {FILE} --cost F=0": "F must be a positive, finite number; got F = ",
    f"simulate {FILE} --cost F=-1": "F must be a positive, finite number",
    f"simulate {FILE} --cost F=nan": "got F = 'nan'",
    f"simulate {FILE} --cost F=inf": "got F = 'inf'",
    f"simulate {FILE} --cost F=1/0": "got F = '1/0'",
    f"simulate {FILE} --cost F=1e999999999": "got F = '1e999999999'",
    f"simulate {FILE} --cost F={'9' * 5000}": "F is a number such as",
    f"simulate {FILE} --cost F=1 --cost F=2": "--cost takes each op once; got F twice",
    f"simulate {FILE} --cost F=1,2": "one number a stage; got 2 numbers for 4 stages",
    f"simulate {FILE} --latency -1": "latency",
    f"simulate {FILE} --latency soon": "latency is a number such as",
    f"simulate {FILE} --bandwidth 0": "bandwidth must be a positive, finite number",
    f"simulate {FILE} --bandwidth fast": "bandwidth is a number such as",
    f"simulate {FILE} --sends slow": "sends are eager or rendezvous; got sends = 'slow'",
    "trace dualpipe --ranks 4 --microbatches 8 --out none/there.json": "the output file must be writable",
    "trace dualpipe --ranks 4 --microbatches 8 --out=": "the output file must be writable",
    "trace dualpipe --ranks 4 --microbatches 8 --out tests": "tests: Is a directory",
    "trace dualpipe --ranks 4 --microbatches 8 --out /": "/: Is a directory",
    f"trace dualpipe --ranks 4 --microbatches 8 --out {'x' * 300}": "File name too long",
    "compare": "the following arguments are required: NAME|FILE.json",
    "compare 1f1b": "1f1b needs --ranks and --microbatches",
    "compare 1f1b none.json --ranks 4 --microbatches 8": "none.json: No such file or directory",
    "compare 1f1b dualpipe --ranks 4 --microbatches 5": "got P = 4, m = 5; nearest legal: m = 6",
    "bench": "the following arguments are required: name",
    "bench everything": "invalid choice: 'everything'",
}


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN.parents[1])


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[-60:] or "nothing")
def test_refused(words: str) -> None:
    reason = refused(call(*words.split()))
    assert REFUSED[words] in reason
    assert len(reason) < 600


@pytest.mark.parametrize(
    "words", ["", "schedule dualpip", "verify none.json", "trace 1f1b --out x"]
)
def test_refused_in_a_process_of_its_own(words: str) -> None:
    assert REFUSED.get(words, "needs --ranks") in refused(run(*words.split()))


def test_odd_characters_stay_on_one_line(tmp_path: Path) -> None:
    for name in ("a\nb.json", "a\0b.json", "\udcff.json", "é.json", "a\rb", "x" * 5000 + ".json"):
        assert refused(call("verify", tmp_path / name))
        assert refused(call("simulate", name))
        assert refused(call("schedule", "1f1b", *P8, name))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["schedule", "simulate", "compare", "trace"])
@settings(max_examples=20, deadline=None)
@given(ranks=st.integers(-3, 9) | st.text(max_size=4), m=st.integers(-3, 20) | st.text(max_size=4))
def test_any_size(command: str, kind: str, ranks: object, m: object) -> None:
    out = ("--out", "/dev/null") if command == "trace" else ()
    result = call(command, kind, f"--ranks={ranks}", f"--microbatches={m}", *out)
    if result.status:
        refused(result)
    else:
        assert result.err == ""


word = st.sampled_from(
    [*" ".join(REFUSED).split(), *KINDS, "--out", "-h", "--", "-", "@x"]
) | st.text(max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.lists(word.filter(lambda text: text not in ("bench", "plot", "trace")), max_size=7))
def test_any_words(words: list[str]) -> None:
    """Commands that write files are left out."""
    result = call(*words)
    assert result.status in (0, 1, 2)
    if result.status:
        refused(result, result.status)
