"""Show a figure in a page or a notebook so that it is right in light and in dark, and can be read aloud."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure

THEMES = ("light", "dark")

# The book marks its theme on <html data-theme>, Colab on <html theme>, JupyterLab on <body>.
_DARK_PAGES = ('html[data-theme="dark"]', 'html[theme="dark"]', 'body[data-jp-theme-light="false"]')
_STYLE = (
    ".dualpipe-figure{overflow-x:auto;margin:0}"
    ".dualpipe-figure svg{display:block;width:100%;height:auto}"
    ".dualpipe-dark{display:none}"
    + "".join(
        f"{page} .dualpipe-light{{display:none}}{page} .dualpipe-dark{{display:block}}"
        for page in _DARK_PAGES
    )
)


def show(draw: Callable[[str], Figure], alt: str, *, narrowest: int = 640) -> HTML:
    """The figure that `draw(theme)` makes, once for each theme; the page shows the one that fits.

    `alt` says in words what the picture shows. On a screen narrower than `narrowest` pixels the
    figure keeps that width and scrolls by itself.

    >>> from matplotlib.figure import Figure
    >>> shown = show(lambda theme: Figure(figsize=(1, 1)), "an empty square")
    >>> shown.data.count("<svg"), 'aria-label="an empty square"' in shown.data
    (2, True)
    """
    from IPython.display import HTML

    words = html.escape(alt, quote=True)
    parts = [
        f'<div class="dualpipe-{theme}" style="min-width:{narrowest}px">'
        f"{_svg(draw(theme), alt + theme)}</div>"
        for theme in THEMES
    ]
    return HTML(
        f'<style>{_STYLE}</style><div class="dualpipe-figure" role="img" tabindex="0"'
        f' aria-label="{words}">{"".join(parts)}</div>'
    )


def _svg(figure: Figure, name: str) -> str:
    """The figure as one <svg> element whose ids clash with no other on the page."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "dualpipe", "svg.fonttype": "path"}):
        figure.savefig(
            stream, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # The page sets the width; the height follows from the viewBox.
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        r'<svg viewBox="\1" aria-hidden="true">',
        text,
        count=1,
    )
    # xlink is no longer needed, and a blank line would end the HTML block in some readers.
    text = re.sub(r"\n\s*", "\n", text.replace("xlink:href", "href"))
    return compact(text, "d" + hashlib.sha256(name.encode()).hexdigest()[:6])


def compact(svg: str, prefix: str) -> str:
    """The same picture in three quarters of the bytes, with names that no other picture of the page has.

    Numbers keep five digits; names that nothing refers to go, the others become short; styles that
    recur become classes.

    >>> compact('<svg><g id="unused"/><path id="a" d="M 785.681641 4 L 0 0 z " style="fill: red"/><use href="#a"/></svg>', "p")
    '<svg><style>.ps0{fill: red}</style><g/><path id="p0" d="M785.68 4L0 0z" class="ps0"/><use href="#p0"/></svg>'
    """
    svg = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.5g}", svg)
    svg = re.sub(r'(?<=\sd=")[^"]*', lambda path: re.sub(r"\s*([A-Za-z])\s*", r"\1", path[0]), svg)
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    short = {name: f"{prefix}{number}" for number, name in enumerate(used)}
    svg = re.sub(
        r' id="([^"]*)"', lambda name: f' id="{short[name[1]]}"' if name[1] in short else "", svg
    )
    svg = re.sub(r'(href="|url\()#([^")]+)', lambda name: f"{name[1]}#{short[name[2]]}", svg)
    styles = dict.fromkeys(re.findall(r' style="([^"]*)"', svg))
    classes = {style: f"{prefix}s{number}" for number, style in enumerate(styles)}
    svg = re.sub(r' style="([^"]*)"', lambda style: f' class="{classes[style[1]]}"', svg)
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{rules}</style>", svg, count=1)
