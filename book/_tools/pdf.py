"""Print the built site as one PDF with an outline: _build/html/dualpipe_understood.pdf. Run: make pdf.

The browser prints each page of the table of contents, with the still figures in place of the live ones;
links between pages lead to the published site.
"""

from __future__ import annotations

import html
import io
import sys

import yaml
from browser import launch_options
from notebooks import ROOT, listed
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from tqdm import tqdm

SITE = ROOT / "_build" / "html"
OUT = SITE / "dualpipe_understood.pdf"
FOOTER = (
    '<div style="width:100%;font:8px sans-serif;color:#555;text-align:center">TITLE · '
    '<span class="pageNumber"></span> of <span class="totalPages"></span></div>'
)
# Math is set before the page is printed; links that would point into this machine point to the site.
PREPARE = """async (base) => {
    if (window.MathJax?.startup) await window.MathJax.startup.promise;
    for (const link of document.querySelectorAll("a[href]"))
        if (link.protocol === "file:" && link.getAttribute("href")[0] !== "#")
            link.href = new URL(link.href.split("/_build/html/")[1] ?? "", base).href;
    return document.querySelector("h1").textContent.replace("#", "").trim();
}"""


def main() -> int:
    """Print every page and join them."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    names = listed(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    if not (SITE / f"{names[-1]}.html").exists():
        print("there is no site to print; run make book", file=sys.stderr)
        return 2
    writer = PdfWriter()
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        page = browser.new_page()
        for name in tqdm(names, unit="page", disable=None):
            title, printed = print_page(page, name, config["html"]["baseurl"])
            pages = PdfReader(io.BytesIO(printed)).pages
            first = len(writer.pages)
            for sheet in pages:
                writer.add_page(sheet)
            writer.add_outline_item(title=title, page_number=first)
        browser.close()
    _write(writer)
    return 0


def print_page(page: Page, name: str, base: str) -> tuple[str, bytes]:
    """(title, PDF) of one page of the site."""
    page.goto((SITE / f"{name}.html").as_uri(), wait_until="load")
    title = page.evaluate(PREPARE, base)
    page.emulate_media(media="print", color_scheme="light")
    printed = page.pdf(
        format="A4",
        margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOTER.replace("TITLE", html.escape(title)),
    )
    return title, printed


def _write(writer: PdfWriter) -> None:
    part = OUT.with_suffix(".part")
    with part.open("wb") as file:
        writer.write(file)
    part.replace(OUT)
    print(f"{OUT.relative_to(ROOT)}: {len(writer.pages)} pages, {OUT.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
