"""Every page of the site as a reader meets it: light, dark, narrow, and with no way out of the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_project.files import ROOT

from .visit import WEIGHT_LIMIT, Site

PAGES = sorted(
    str(path.relative_to(ROOT).with_suffix(""))
    for pattern in ("book/*.md", "exercises/*/exercise.md")
    for path in ROOT.glob(pattern)
)
# Here colours are judged in a narrow window, too.
WITH_ALL_RULES = ("book/ch03_gpipe_1f1b", "exercises/ch03/exercise")
CONTRAST = "color-contrast"
each_page = pytest.mark.parametrize("name", PAGES)


def test_every_page_is_built(site: Site) -> None:
    built = {
        str(path.relative_to(site.folder).with_suffix("")) for path in site.folder.rglob("*.html")
    }
    assert set(PAGES) <= {name for name in built if not name.startswith(("_", "live/"))}
    assert len(PAGES) >= 9


@each_page
def test_a_page_is_whole_light_and_can_be_read_by_all(site: Site, name: str) -> None:
    """No request leaves the site, nothing fails, axe-core finds nothing, every picture has words, nothing is too wide.

    Narrow, then wide, then in the other theme; every other page is loaded in the dark. Loading a page and axe-core take
    seconds, so what a change cannot alter is not looked at again.
    """
    themes = ("light", "dark") if PAGES.index(name) % 2 else ("dark", "light")
    with site.visit(name, theme=themes[0], width=375) as visit:
        visit.settle()
        weight = sum(visit.weight.values())
        print(f"{name}: {weight / 1e6:.2f} MB")
        assert 100_000 < weight < WEIGHT_LIMIT
        assert not any(
            "pyodide" in url for url in visit.weight
        )  # not before the reader asks for it
        assert visit.without_alternative() == []
        assert visit.theme() == themes[0]
        assert visit.overflow() == 0
        assert visit.axe(without=() if name in WITH_ALL_RULES else (CONTRAST,)) == []
        visit.widen(1280)
        assert visit.axe() == []
        visit.change_theme(themes[1])
        assert visit.axe(only=(CONTRAST,)) == []


@each_page
def test_links_inside_the_site_lead_somewhere(site: Site, name: str) -> None:
    assert broken_links(site.folder / f"{name}.html", site.folder) == []


def broken_links(page: Path, folder: Path) -> list[str]:
    """Targets of a page's own links and sources that are not there; addresses outside are not asked."""
    found = []
    for target in re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        path = path.partition("?")[0]
        if re.match(r"[a-z]+:|//", target) or not (path or anchor):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            found.append(target)
        elif anchor and file.suffix == ".html":
            text = file.read_text(encoding="utf-8")
            if f'id="{anchor}"' not in text and f'name="{anchor}"' not in text:
                found.append(target)
    return found


def test_download_buttons_give_notebooks_without_myst(site: Site) -> None:
    for name in PAGES:
        notebook = ROOT / f"{name}.ipynb"
        if notebook.exists():
            assert (
                site.folder / "_sources" / f"{name}.ipynb"
            ).read_bytes() == notebook.read_bytes()


@pytest.mark.parametrize(
    ("button", "address"),
    [
        ("Binder", r"https://mybinder\.org/v2/gh/[^/]+/[^/]+/main\?urlpath=\S+{name}\.ipynb"),
        (
            "Colab",
            r"https://colab\.research\.google\.com/github/[^/]+/[^/]+/blob/main/{name}\.ipynb",
        ),
    ],
)
def test_launch_buttons_open_the_notebook_of_the_page(
    site: Site, button: str, address: str
) -> None:
    for name in PAGES:
        if not (ROOT / f"{name}.ipynb").exists():
            continue
        text = (site.folder / f"{name}.html").read_text(encoding="utf-8")
        links = re.findall(r'href="(https://[^"]*)"', text)
        pattern = address.replace("{name}", re.escape(name))
        assert any(re.fullmatch(pattern, link) for link in links), (name, button)


FAULTS = {
    "leaves the site": '<img src="https://example.com/x.png" alt="x">',
    "page error": "<script>throw new Error('planted')</script>",
    "404": '<script src="missing.js"></script>',
}


@pytest.mark.parametrize("trouble", FAULTS)
def test_a_planted_fault_is_noted(site: Site, trouble: str) -> None:
    name = f"planted_{trouble.replace(' ', '_')}"  # tests may run side by side
    page = site.folder / "book" / f"{name}.html"
    page.write_text(f"<!doctype html><title>x</title>{FAULTS[trouble]}")
    try:
        with (
            pytest.raises(AssertionError, match=trouble),
            site.visit(f"book/{name}") as visit,
        ):
            visit.page.wait_for_load_state("networkidle")
    finally:
        page.unlink()


def test_colours_of_both_themes_are_judged(site: Site) -> None:
    """The planted fault: a grey that can be read in the dark alone, on a page that was loaded there."""
    with site.visit("exercises/ch03/exercise", theme="dark") as visit:
        visit.settle()
        visit.page.evaluate(
            """() => document.querySelector('main').insertAdjacentHTML('afterbegin',
                '<p style="color:#bbb">grey</p>')"""
        )
        assert visit.axe(only=(CONTRAST,)) == []
        visit.change_theme("light")
        assert any("grey" in fault for fault in visit.axe(only=(CONTRAST,)))


def test_planted_faults_of_the_page_itself_are_seen(site: Site) -> None:
    name = "book/ch03_gpipe_1f1b"
    with site.visit(name, width=375) as visit:
        visit.settle()
        visit.page.evaluate(
            """() => document.querySelector('main').insertAdjacentHTML('afterbegin',
                '<img src="data:,"><p style="width:900px;color:#ccc;background:#fff">faint</p>')"""
        )
        assert visit.overflow() > 0
        assert any("image-alt" in fault for fault in visit.axe())
        assert any("image-alt" in fault for fault in visit.axe(without=(CONTRAST,)))
        assert not any(CONTRAST in fault for fault in visit.axe(without=(CONTRAST,)))
        found = visit.axe(only=(CONTRAST,))
        assert found
        assert all(CONTRAST in fault for fault in found)
        assert len(visit.without_alternative()) == 1
    page = site.folder / f"{name}.html"
    copy = page.with_name("planted_link.html")
    copy.write_text(
        page.read_text().replace('href="#', 'href="#nowhere', 1) + '<a href="no.html">x</a>'
    )
    try:
        assert len(broken_links(copy, site.folder)) >= 2
    finally:
        copy.unlink()
