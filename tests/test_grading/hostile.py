"""Answers that do what they may not, each with what a reader is told instead of points."""

from __future__ import annotations

from typing import NamedTuple

MARK = "hostile_was_here"  # what no answer may leave behind


class Hostile(NamedTuple):
    """A source whose `f()` is called, and a part of the line that comes back."""

    source: str
    told: str


def f(body: str, before: str = "") -> str:
    indented = "\n".join("    " + line for line in body.strip("\n").split("\n"))
    return f"{before}\ndef f():\n{indented}\n".lstrip("\n")


def _os(body: str) -> str:
    """With the os module, which an allowed module has in its own namespace."""
    return f(body.replace("os.", "random._os."), "import random")


def _sys(body: str) -> str:
    return f(body.replace("sys.", "dataclasses.sys."), "import dataclasses")


FILE_IO = """
for one in object.__subclasses__():
    for two in type.__subclasses__(one):
        for three in type.__subclasses__(two):
            if three.__name__ == 'FileIO':
                return three('/etc/passwd').read().decode()
"""

# What cannot be loaded: one line, no points.
AT_LOAD = {
    "loops": Hostile("while True: pass", "did not return within"),
    "exits": Hostile("raise SystemExit(0)", "raised SystemExit"),
    "imports sys": Hostile("import sys", "may not import sys"),
    "imports os": Hostile("import os", "may not import os"),
    "imports subprocess": Hostile("import subprocess", "may not import subprocess"),
    "imports the package": Hostile(
        "from dualpipe_ref.schedule import build", "may not import dualpipe_ref.schedule"
    ),
    "syntax error": Hostile("def f(:\n", "line 1: invalid syntax"),
    "indentation": Hostile("  x = 1\n y = 2\n", "line 1: unexpected indent"),
    "null byte": Hostile("x = 1\0", "null byte"),
    "raises": Hostile("1 / 0", "raised ZeroDivisionError: division by zero (line 1)"),
    "eats memory": Hostile("x = [0]\nwhile True:\n    x = x * 2", "raised MemoryError"),
    "nested brackets": Hostile("x = " + "(" * 500 + ")" * 500, "too many nested parentheses"),
}

# What fails when it is called.
CALLED = {
    "loops": Hostile(f("while True: pass"), "did not return within"),
    "loops in C": Hostile(
        f("return bool(re.match('(a?)*' * 3000 + 'b', 'a' * 100))", "import re"),
        "did not return within",
    ),
    "exits": Hostile(f("raise SystemExit(0)"), "raised SystemExit"),
    "sys.exit": Hostile(_sys("sys.exit(0)"), "raised SystemExit"),
    "os._exit": Hostile(_os("os._exit(0)"), "no attribute '_exit'"),
    "fork": Hostile(_os("return os.fork()"), "no attribute 'fork'"),
    "system": Hostile(_os(f"os.system('touch {MARK}')"), "no attribute 'system'"),
    "kills its parent": Hostile(_os("os.kill(os.getppid(), 9)"), "no attribute"),
    "thread": Hostile(
        _sys("sys.modules['_thread'].start_new_thread(print, ())"), "no attribute 'start_new_"
    ),
    "eats memory": Hostile(f("x = [0]\nwhile True: x = x * 2"), "ran out of memory"),
    "large int": Hostile(f("return 1 << (1 << 40)"), "ran out of memory"),
    "large text": Hostile(f("return 'x' * (1 << 34)"), "ran out of memory"),
    "prints for ever": Hostile(f("while True: print('x' * 1000)"), "did not return within"),
    "imports inside": Hostile(f("import socket"), "may not import socket"),
    "__import__": Hostile(f("__import__('os').getpid()"), "may not import os"),
    "the solution": Hostile(
        f("import exercises.ch03.solution"), "may not import exercises.ch03.solution"
    ),
    "the real import": Hostile(
        _sys("return sys.modules['builtins'].__import__('socket')"), "may not load a module"
    ),
    "writes a file": Hostile(f(f"open('{MARK}', 'w').write('x')"), "may not open files"),
    "creates a file": Hostile(f(f"open('{MARK}', 'x')"), "may not open files"),
    "reads the solution": Hostile(f("return open('solution.py').read()"), "may not open files"),
    "swallows the refusal": Hostile(
        f("try:\n    open('/etc/passwd')\nexcept BaseException:\n    pass\nreturn 1"),
        "may not open files",
    ),
    "finds FileIO": Hostile(f(FILE_IO), "may not open files"),
    "deletes a file": Hostile(_os("os.remove('victim')"), "no attribute 'remove'"),
    "makes a pipe": Hostile(_os(f"os.mkfifo('{MARK}')"), "no attribute 'mkfifo'"),
    "writes as it dies": Hostile(
        f("D()\nreturn 1", f"class D:\n    def __del__(self): open('{MARK}', 'w')"),
        "may not open files",
    ),
    "asks for input": Hostile(f("return input()"), "may not ask for input"),
    "adds a hook": Hostile(_sys("sys.addaudithook(print)"), "may not use sys.addaudithook"),
    "traces": Hostile(_sys("sys.settrace(print)"), "may not use sys.settrace"),
    "NaN": Hostile(f("return [1, float('nan')]"), "returned nan at [1]"),
    "infinity": Hostile(f("return float('-inf')"), "returned -inf"),
    "equals everything": Hostile(
        f("return E()", "class E:\n    def __eq__(self, other): return True"), "returned an E"
    ),
    "an int that equals everything": Hostile(
        f("return [E(1)]", "class E(int):\n    def __eq__(self, other): return True"),
        "returned an E, which is not exactly an int at [0]",
    ),
    "a str of its own": Hostile(
        f("return E('fine')", "class E(str): pass"), "which is not exactly a str"
    ),
    "a dict of its own": Hostile(
        f("return collections.OrderedDict()", "import collections"), "not exactly a dict"
    ),
    "a generator": Hostile(
        f("return (x for x in range(3))"), "returned a generator; make it a list"
    ),
    "a set": Hostile(f("return {1}"), "returned a set; make it a list"),
    "a type": Hostile(f("return int"), "returned a type"),
    "a loop of lists": Hostile(f("x = []\nx.append(x)\nreturn x"), "nested more than"),
    "deep": Hostile(f("x = []\nfor _ in range(100000): x = [x]\nreturn x"), "nested more than"),
    "endless digits": Hostile(f("return 10 ** 5000"), "an int of more than 4000 digits"),
    "recursion": Hostile(f("return f()"), "raised RecursionError"),
    "an error that exits": Hostile(
        f("raise E", "class E(Exception):\n    def __str__(self): raise SystemExit"), "raised E"
    ),
    "an error that loops": Hostile(
        f("raise E", "class E(Exception):\n    def __str__(self):\n        while True: pass"),
        "did not return within",
    ),
    "new code": Hostile(
        f("f.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 50)\nreturn f()"),
        "may not use code.__new__",
    ),
    "other builtins": Hostile(
        _sys(
            "b = sys.modules['builtins']\nb.isinstance = lambda *a: True\n"
            "b.type = lambda *a: int\nreturn object()"
        ),
        "ended its process",
    ),
    "writes replies": Hostile(
        _sys(
            "frame = sys._getframe()\nwhile 'reply' not in frame.f_locals: frame = frame.f_back\n"
            "frame.f_locals['reply']([1, 2, 3])\nreturn 1"
        ),
        "wrote into the connection to the checks",
    ),
    "missing": Hostile("x = 1", "the answer has no function f"),
}
