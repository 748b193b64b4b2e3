"""What the documentation points to is there: links, headings, make targets, commands and their options."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from polyhull.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *(page for top in ("docs", "examples", "hack") for page in ROOT.glob(f"{top}/**/*.md"))]
)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def headings(text: str) -> set[str]:
    """As GitHub calls them in addresses."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every shell line in a code block that calls `polyhull`."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.split(" #")[0].split("|")[0].split()
            for at, word in enumerate(words):
                if word == "polyhull" or word.endswith("/polyhull"):
                    if at + 1 < len(words) and words[0] != "helm":
                        yield words[at + 1 :]
                    break


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith(("http://", "https://")):
            continue
        if not target.exists() or (heading and heading not in headings(target.read_text())):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_and_option_is_one_that_there_is(page: Path) -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = page.read_text()
    for name, *rest in commands(text):
        if name.startswith("-"):
            continue
        assert name in known, f"polyhull {name}"
        options = {option for part in known[name].params for option in (*part.opts, *part.secondary_opts)}
        given = {word.split("=")[0] for word in rest if word.startswith("-") and word != "-"}
        assert given <= options | {"--help"}, f"polyhull {name}: {given - options}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {words[0] for words in re.findall(r"(?:^|`)make ([a-z-]+)()", text, re.MULTILINE)}
    assert asked <= targets


def test_the_readme_names_every_how_to() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [page.name for page in (ROOT / "docs" / "how-to").glob("*.md") if f"how-to/{page.name}" not in readme]
