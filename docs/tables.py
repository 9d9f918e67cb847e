"""Put the tables of finished studies into the pages of ``docs/results``.

python docs/tables.py [RESULTS]

A page holds a place for each study: ``<!-- study: NAME -->`` up to ``<!-- end -->``. What stands between is replaced by
the tables of the results folder ``RESULTS/study-NAME`` (``results`` by default), with the command that makes them.
Likewise ``<!-- output: NAME -->`` is a place for what a command printed into ``RESULTS/NAME.txt``. A place whose
folder or file is not there keeps what it has.
"""

import re
import sys
from pathlib import Path

from analysis.report import Table
from experiments.reporting import study_tables
from experiments.study import StudyFolder

PAGES = Path(__file__).parent / "results"
PLACE = re.compile(r"(<!-- (study|output): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(table: Table) -> str:
    """Return a table as Markdown, its caption above it."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    header, *rows = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([f"{table.caption}.", "", header, f"|{'---|' * len(table.header)}", *rows, ""])


def of_study(name: str, results: Path) -> str | None:
    """Return the tables of a study and the command that makes them; None where its folder is not there."""
    folder = results / f"study-{name}"
    if not folder.is_dir():
        return None
    study = StudyFolder(folder)
    tables = "\n".join(markdown(table) for table in study_tables(study.study, study))
    return f"`siegelab sweep {name}`, {len(study.points)} runs.\n\n{tables}"


def of_output(name: str, results: Path) -> str | None:
    """Return what a command printed; None where it was not kept."""
    file = results / f"{name}.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    return f"```text\n{text}\n```\n" if text else None


def main(results: Path) -> None:
    """Fill every page."""

    def filled(place: re.Match[str]) -> str:
        start, kind, name, end = place.groups()
        made = of_study(name, results) if kind == "study" else of_output(name, results)
        return place[0] if made is None else f"{start}{made}{end}"

    for page in sorted(PAGES.glob("*.md")):
        page.write_text(PLACE.sub(filled, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results"))
