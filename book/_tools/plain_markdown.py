"""Markdown that any notebook shows: no directives, no roles, no labels. Colab knows no MyST."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path


def plain_markdown(text: str, source: Path) -> str:
    """The text of a page, with included code written out, admonitions as quotes, roles as plain text.

    `source` is the page's file: links and included files are relative to it.

    >>> plain_markdown("{cite}`c6-chimera` shows it", Path("x.md"))
    '[chimera] shows it'
    """
    text = re.sub(
        r"```\{include\} (\S+)\n```",
        lambda match: (source.parent / match[1]).read_text(encoding="utf-8").strip(),
        text,
    )
    text = re.sub(
        r"```\{literalinclude\} (\S+)\n(.*?)```",
        lambda match: _included(match[1], match[2], source),
        text,
        flags=re.DOTALL,
    )
    text = re.sub(
        r"^:::\{(\w+)\} ?(.*?)\n(.*?)^:::$", _admonition, text, flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"(?:#+ References\n+)?```\{bibliography\}.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"```\{nb-exec-table\}\n```", "(A table of the built site.)", text)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{cite(?::\w+)?\}`(?:c\d+-)?([^`]+)`", r"[\1]", text)
    text = re.sub(
        r"\]\(((?:\.\./)*\w[\w/]*)(?:\.md)?\)",
        lambda match: f"]({_page_file(match[1], source)})",
        text,
    )
    text = re.sub(r"\{doc\}`([^`<]+?) ?<([^`>]+)>`", r"[\1](\2.ipynb)", text)
    text = re.sub(r"\{download\}`([^`<]+?) ?<([^`>]+)>`", r"\1", text)
    return re.sub(r"\{(?:ref|numref|eq|term|abbr)\}`([^`<]+?)(?: ?<[^`>]+>)?`", r"\1", text).strip()


def has_notebook(text: str) -> bool:
    """Whether a page with this text has a notebook beside it: it is executed, or takes an answer."""
    return "format_name: myst" in text or "```{answer}" in text


def _page_file(name: str, source: Path) -> str:
    """The file that a link to a page means outside the book: its notebook if it has one."""
    page = source.parent / f"{name}.md"
    if not page.exists():
        return name
    return name + (".ipynb" if has_notebook(page.read_text(encoding="utf-8")) else ".md")


def _admonition(match: re.Match[str]) -> str:
    """An admonition as a quote with a bold title; a dropdown as what opens at a click."""
    title = match[2] or match[1].capitalize()
    body = [line for line in match[3].strip().splitlines() if not re.match(r":\w+:", line)]
    if match[1] == "dropdown":
        return "\n".join(
            ["<details>", f"<summary>{title}</summary>", "", *body, "", "</details>", ""]
        )
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in body)])


def _included(name: str, options: str, source: Path) -> str:
    """The function or class that a literalinclude names, as a fenced block."""
    wanted = dict(re.findall(r"^:([\w-]+): (.*)$", options, flags=re.MULTILINE))["pyobject"]
    text = (source.parent / name).read_text(encoding="utf-8")
    nodes: list[ast.AST] = [ast.parse(text)]
    for part in wanted.split("."):  # a method stands in its class
        inner = [child for node in nodes for child in getattr(node, "body", ())]
        nodes = [child for child in inner if getattr(child, "name", None) == part]
    if len(nodes) != 1:
        raise ValueError(
            f"{source.name} includes {wanted} of {name}, which defines it {len(nodes)} times"
        )
    found = nodes[0]
    assert isinstance(found, ast.FunctionDef | ast.ClassDef)
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    code = textwrap.dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno]))
    return f"```python\n{code}\n```"
