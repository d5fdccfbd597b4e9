"""What is live on the pages answers without a kernel, as CPython does; what goes wrong is said."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.plot.live import answer
from tests.test_project.files import ROOT

from .visit import Site, Visit

TEXTS = [*ROOT.glob("book/*.md"), *ROOT.glob("exercises/*/exercise.md")]


def pages_with(words: str) -> list[str]:
    """The pages whose text matches."""
    names = (
        str(path.relative_to(ROOT).with_suffix(""))
        for path in TEXTS
        if re.search(words, path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    return sorted(names)


FIGURES = pages_with(
    r"\bexplore\(\n|\bexplore\(\"|\bcalculator\(\)|^drag_lanes\(|^fits\(|^volumes\(|^packets\(|^rings\(|^sms\(|^chooser\("
)
CELLS = pages_with(r"tags: \[live")
EXERCISES = [exercise.name for exercise in all_exercises()]
CHANGES = {
    "timeline": {"microbatches": "24"},
    "waiting": {"gpus": "1000"},
    "lanes": {"dispatch": "7/3"},
    "footprint": {"device": "60"},
    "volume": {"tokens": "1000"},
    "packets": {"tokens": "2"},
    "chooser": {"gpus": "4096"},
    "ring": {"slots": "3"},
    "sms": {"knee": "20"},
}
WORDS = {
    "timeline": ".summary",
    "waiting": ".sentence",
    "lanes": ".sentence",
    "footprint": ".sentence",
    "volume": ".sentence",
    "packets": ".sentence",
    "chooser": ".sentence",
    "ring": ".sentence",
    "sms": ".sentence",
}


def told(view: str, data: dict[str, Any]) -> str:
    """The line of a view that says what it shows."""
    said: str = data["summary"] if view == "timeline" else data["sentence"]
    return said


def test_the_pages_have_something_live() -> None:
    assert len(FIGURES) >= 5
    assert len(CELLS) >= 4
    assert {"book/index", "book/ch01_waiting"} <= set(FIGURES)


@pytest.mark.parametrize("name", sorted({*FIGURES, *CELLS}))
def test_what_is_live_on_a_page_answers_as_cpython_does(site: Site, name: str) -> None:
    """Figures, then cells: in one window, since Python takes seconds to start there."""
    with site.visit(name) as visit:
        visit.settle()
        figures = visit.page.locator(".dualpipe-live").all()
        assert len(figures) == len(figure_data(site, name))
        assert bool(figures) == (name in FIGURES)
        for number, figure in enumerate(figures):
            check_figure(visit, figure, json.loads(figure_data(site, name)[number]))
        cells = visit.page.locator(".cell.tag_live").all()
        assert bool(cells) == (name in CELLS)
        for one in cells:
            check_cell(one)


def check_figure(visit: Visit, figure: Any, before: dict[str, Any]) -> None:
    """It shows what the page was built with, and after a change what CPython says then."""
    view, change = before["view"], CHANGES[before["view"]]
    wanted = told(view, answer(view, {**before["state"], **change}))
    assert wanted != told(view, before["result"])
    shown = figure.locator(WORDS[view])
    assert shown.inner_text() == told(view, before["result"])
    began = time.monotonic()
    (label,) = (control["label"] for control in before["controls"] if control["name"] in change)
    # A view may have buttons, and choices of a list, whose names contain the word.
    inputs = figure.locator(".dualpipe-controls input")
    inputs.and_(figure.get_by_label(label)).fill(*change.values())
    wait_for_text(visit, shown, wanted)
    print(f"{view}: {time.monotonic() - began:.2f} s to its result")
    wait_for_text(visit, figure.locator(".dualpipe-status"), "")


def check_cell(cell: Any) -> None:
    """It gives what the page was built with."""
    built = cell.locator(".cell_output").inner_text().strip()
    cell.get_by_role("button", name="Run").click()
    cell.get_by_role("button", name="Run").wait_for()
    assert cell.locator(".dualpipe-error").count() == 0
    if built:
        assert cell.locator(".dualpipe-output").inner_text().strip() == built


def figure_data(site: Site, name: str) -> list[str]:
    """The JSON of the live figures of a page, as it was built."""
    text = (site.folder / f"{name}.html").read_text(encoding="utf-8")
    pattern = r'class="dualpipe-live"[^>]*>\s*<script type="application/json">(.*?)</script>'
    return re.findall(pattern, text, re.DOTALL)


def wait_for_text(visit: Visit, where: Any, wanted: str) -> None:
    from playwright.sync_api import expect

    expect(where).to_have_text(wanted, timeout=60_000)


def test_lanes_that_are_moved_are_answered_in_the_page(site: Site) -> None:
    with site.visit("book/ch08_anatomy") as visit:
        visit.settle()
        figure = visit.page.locator(".dualpipe-live")
        figure.get_by_role("button", name="Best order").click()
        sentence = figure.locator(".sentence")
        said = answer("lanes", {"layers": 2, "combine": 2})["sentence"]
        wait_for_text(visit, sentence, said.replace("order takes 14", "order takes 13"))
        figure.get_by_role("button", name="Published order").click()
        wait_for_text(visit, sentence, said)
        # The first W before its I: a ring, told in words, and mended by the same keys.
        figure.locator('[data-id="M.W1"]').focus()
        visit.page.keyboard.press("Shift+ArrowLeft")
        problem = figure.locator(".problem")
        problem.get_by_text("in a ring").wait_for()
        assert "Computation stops before MLP(W) of layer 1." in problem.inner_text()
        visit.page.keyboard.press("Shift+ArrowRight")
        wait_for_text(visit, sentence, said)
        assert problem.inner_text() == ""
        assert visit.axe() == []


def test_stages_a_rank_are_moved_where_a_schedule_has_them(site: Site) -> None:
    with site.visit("book/ch04_interleaving") as visit:
        visit.settle()
        figure = visit.page.locator(".dualpipe-live")
        state = json.loads(figure_data(site, "book/ch04_interleaving")[0])["state"]
        stages = figure.get_by_label("Stages a rank v")
        stages.fill("4")
        summary = figure.locator(WORDS["timeline"])
        wait_for_text(visit, summary, told("timeline", answer("timeline", {**state, "chunks": 4})))
        figure.get_by_label("Schedule").select_option("1f1b")
        wait_for_text(
            visit, summary, told("timeline", answer("timeline", {**state, "kind": "1f1b"}))
        )
        assert not stages.is_visible()
        figure.get_by_label("Schedule").select_option("interleaved")
        assert stages.is_visible()


def test_what_has_no_answer_is_refused_with_the_nearest_that_has_one(site: Site) -> None:
    with site.visit("book/ch09_dualpipe") as visit:
        visit.settle()
        figure = visit.page.locator(".dualpipe-live").first
        figure.get_by_label("Micro-batches").fill("7")
        status = figure.locator(".dualpipe-status")
        status.get_by_role("button").wait_for()
        assert "7" in status.inner_text()
        assert "nearest legal" in status.inner_text()
        status.get_by_role("button").click()
        wait_for_text(visit, status, "")
        assert figure.get_by_label("Micro-batches").input_value() != "7"


def edit(cell: Any, code: str) -> Any:
    """Put this code into the cell and run it; its output, which may still be to come."""
    if cell.get_by_role("button", name="Edit").is_visible():
        cell.get_by_role("button", name="Edit").click()
    cell.get_by_role("textbox").fill(code)
    cell.get_by_role("button", name="Run").click()
    return cell.locator(".dualpipe-output")


def test_a_cell_is_changed_fails_is_stopped_and_reset(site: Site) -> None:
    with site.visit("book/ch03_gpipe_1f1b") as visit:
        visit.settle()
        cell = visit.page.locator(".cell.tag_live").first
        output = edit(cell, "x = 6\nprint('printed')\nx * 7")
        wait_for_text(visit, output, "printed\n42")

        wait_for_text(visit, edit(cell, "x + 1"), "7")  # names stay
        output = edit(cell, "def f():\n    return 1 / 0\n\nf()")
        output.locator(".dualpipe-error").wait_for()
        for words in ("ZeroDivisionError: division by zero", "line 2, in f", "return 1 / 0"):
            assert words in output.inner_text()
        assert "page_glue" not in output.inner_text()

        output = edit(cell, "x = (")
        output.locator(".dualpipe-error").wait_for()
        assert "SyntaxError" in output.inner_text()

        output = edit(cell, "import sys\nsys.exit(3)")
        output.locator(".dualpipe-error").wait_for()
        assert "SystemExit: 3" in output.inner_text()

        edit(cell, "while True:\n    pass")
        visit.page.wait_for_timeout(300)
        began = time.monotonic()
        cell.get_by_role("button", name="Stop").click()
        cell.locator(".dualpipe-error").wait_for()
        print(f"Stop took {time.monotonic() - began:.2f} s")
        assert "Stopped" in cell.locator(".dualpipe-output").inner_text()

        output = edit(cell, "for _ in range(50000): print('x' * 100)\n'done'")
        output.get_by_text("done").wait_for()
        text = output.inner_text()
        assert "more was printed than is shown" in text
        assert len(text) < 110_000

        cell.get_by_role("button", name="Reset").click()
        assert cell.locator(".cell_output").is_visible()
        assert cell.locator(".dualpipe-output").inner_text() == ""


def test_a_timeline_as_a_result_is_drawn(site: Site) -> None:
    with site.visit("book/ch03_gpipe_1f1b") as visit:
        visit.settle()
        cell = visit.page.locator(".cell.tag_live").first
        output = edit(
            cell, "from dualpipe_ref import build, simulate\nsimulate(build('1f1b', 2, 3))"
        )
        output.locator(".summary").wait_for()
        assert "makespan 12" in output.locator(".summary").inner_text()


def check(visit: Visit, source: str) -> Any:
    """Hand in this answer; the place of the report."""
    place = visit.page.locator(".dualpipe-answer")
    place.get_by_role("textbox").fill(source)
    place.get_by_role("button", name="Check").click()
    return place.locator(".dualpipe-report")


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_in_the_page_gets_the_marks_of_the_command_line(site: Site, name: str) -> None:
    exercise = find_exercise(name)
    with site.visit(f"exercises/{name}/exercise") as visit:
        visit.settle()
        field = visit.page.locator(".dualpipe-answer").get_by_role("textbox")
        assert field.input_value() == skeleton_of(exercise.solution)
        report = check(visit, exercise.solution.read_text(encoding="utf-8"))
        wait_for_text(visit, report.locator(".dualpipe-points"), "10 of 10 points")
        report = check(visit, skeleton_of(exercise.solution))
        wait_for_text(visit, report.locator(".dualpipe-points"), "0 of 10 points")
        assert visit.axe() == []


def test_a_wrong_answer_is_shown_where_it_fails(site: Site) -> None:
    wrong = find_exercise("ch03").folder / "wrong" / "warm_up_too_long.py"
    with site.visit("exercises/ch03/exercise") as visit:
        visit.settle()
        report = check(visit, wrong.read_text(encoding="utf-8"))
        wait_for_text(visit, report.locator(".dualpipe-points"), "8 of 10 points")
        assert "rank 1 at F0.1 (op 1) holds" in report.locator(".dualpipe-reason").inner_text()
        assert "rank 1 at F0.1" in report.locator(".title").inner_text()
        assert "makespan 9" in report.locator(".summary").inner_text()
        visit.page.set_viewport_size({"width": 375, "height": 800})
        assert visit.overflow() == 0
        assert visit.axe() == []


def test_a_wrong_pair_is_shown_as_lanes(site: Site) -> None:
    wrong = find_exercise("ch08").folder / "wrong" / "full_backwards.py"
    with site.visit("exercises/ch08/exercise") as visit:
        visit.settle()
        report = check(visit, wrong.read_text(encoding="utf-8"))
        wait_for_text(visit, report.locator(".dualpipe-points"), "8 of 10 points")
        reason = "yours takes 7, the published order 13/2"
        assert reason in report.locator(".dualpipe-reason").inner_text()
        assert reason in report.locator(".sentence").inner_text()
        assert report.locator(".piece").count() == 10
        assert report.locator(".tools button").count() == 0
        visit.page.set_viewport_size({"width": 375, "height": 800})
        assert visit.overflow() == 0
        assert visit.axe() == []


def test_an_answer_that_loops_is_stopped_and_one_that_cannot_be_loaded_is_told(site: Site) -> None:
    with site.visit("exercises/ch03/exercise") as visit:
        visit.settle()
        place = visit.page.locator(".dualpipe-answer")
        check(visit, "def gpipe(rank, ranks, microbatches):\n    while True:\n        pass\n")
        visit.page.wait_for_timeout(500)
        place.get_by_role("button", name="Stop").click()
        place.get_by_text("Stopped. Your text is still here.").wait_for()
        for source, words in (
            ("def gpipe(:", "line 1: invalid syntax"),
            ("raise SystemExit(0)", "raised SystemExit"),
        ):
            report = check(visit, source)
            wait_for_text(visit, report.locator(".dualpipe-points"), "0 of 10 points")
            assert words in report.inner_text()


def test_what_was_written_is_there_again(site: Site) -> None:
    with site.visit("exercises/ch03/exercise") as visit:
        visit.settle()
        field = visit.page.locator(".dualpipe-answer").get_by_role("textbox")
        field.fill("mine")
        visit.page.reload()
        assert field.input_value() == "mine"
        visit.page.on("dialog", lambda dialog: dialog.accept())
        visit.page.get_by_role("button", name="Reset").first.click()
        assert field.input_value().startswith('"""GPipe and 1F1B')


def test_a_python_that_cannot_be_loaded_is_told(site: Site) -> None:
    """The planted fault: the archive is missing."""
    with site.visit("book/ch03_gpipe_1f1b", allowed=("dualpipe_ref.zip", "404")) as visit:
        visit.settle()
        visit.page.route("**/dualpipe_ref.zip", lambda route: route.fulfill(status=404))
        cell = visit.page.locator(".cell.tag_live").first
        cell.get_by_role("button", name="Run").click()
        cell.locator(".dualpipe-error").wait_for()
        assert "Python did not start: dualpipe_ref.zip: 404" in cell.inner_text()
