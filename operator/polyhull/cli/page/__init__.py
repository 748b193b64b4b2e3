"""`--report`: a decision as one self-contained page. Nothing is fetched, nothing is sent, no name becomes markup."""

import html
import json
from importlib import resources
from pathlib import Path

from polyhull import __version__
from polyhull.cli.page.content import content
from polyhull.domain.decision import Decision
from polyhull.domain.errors import InvalidInput
from polyhull.domain.snapshot import Snapshot


def write(path: Path, snapshot: Snapshot, decision: Decision, title: str) -> None:
    """Write the page. Raises InvalidInput where that cannot be done."""
    try:
        path.write_text(page(snapshot, decision, title), encoding="utf-8")
    except OSError as error:
        remedy = "name a file in a folder that is there"
        raise InvalidInput(str(path), "", f"cannot be written: {error.strerror}", remedy) from None


def page(snapshot: Snapshot, decision: Decision, title: str) -> str:
    """The page as text: a template with its own style, script and data inside."""
    parts = {
        "TITLE": html.escape(title),
        "STYLE": _own("page.css"),
        "SCRIPT": _own("page.js"),
        "DATA": _embedded(content(snapshot, decision, title) | {"program": f"Polyhull {__version__}"}),
    }
    text = _own("page.html")
    first, *rest = text.split("{{")
    out = [first]
    for piece in rest:  # one pass: what is put in is never looked at again
        name, _, after = piece.partition("}}")
        out += [parts[name], after]
    return "".join(out)


def _embedded(value: object) -> str:
    """JSON that no HTML parser can leave: neither `</script>` nor `<!--` can occur in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _own(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
