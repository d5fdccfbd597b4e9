"""One ES module from those in `web/`: a widget is given its code as one text. Standard library only."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)


@cache
def bundle(name: str) -> str:
    """The module `web/name` with what it imports from beside it put before it, each once.

    All of them share one scope then, so no two may use a name at their top level twice; a test
    looks at that. Names are imported as they are (no `as`).

    >>> code = bundle("viewer.js")
    >>> "import " in code, code.count("function pageTheme()"), code.count("export default")
    (False, 1, 1)
    """
    parts: dict[str, str] = {}
    _collect(name, parts)
    *imported, entry = parts
    return "\n".join([*(_EXPORT.sub("", parts[part]) for part in imported), parts[entry]])


def _collect(name: str, parts: dict[str, str]) -> None:
    """Put what `name` imports into `parts`, and then itself."""
    source = resources.files("dualpipe_ref.plot").joinpath("web", name).read_text(encoding="utf-8")
    for imported in _IMPORT.findall(source):
        if imported not in parts:
            _collect(imported, parts)
    parts[name] = _IMPORT.sub("", source)
