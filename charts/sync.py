"""Copies generated files into the chart: `crds/*.yaml` and the accelerator catalogue become chart templates.

`python charts/sync.py` writes, `--check` only says what differs (exit code 1); tests/architecture runs the check. The
text is carried over as it is, with the chart's conditions and annotations around it: a YAML library on the way would
turn the schemas' 64-bit bounds into floating point.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "charts" / "polyhull" / "templates"
HEADER = "# Written by charts/sync.py from {source}; change that instead.\n"
CRD_CONDITION = "{{- if .Values.crds.enabled }}\n"
CRD_ANNOTATIONS = '    {{- include "polyhull.keep" . | nindent 4 }}\n'
SEED_CONDITION = "{{- if and .Values.operator.enabled .Values.catalogue.enabled }}\n"
SEED_ANNOTATIONS = '    {{- include "polyhull.seedAnnotations" . | nindent 4 }}\n'
_FLOW_METADATA = re.compile(r"metadata: \{name: ([a-z0-9.-]+)\}")
LABELS = '    {{- include "polyhull.labels" . | nindent 4 }}\n'


def crd_template(text: str, source: str) -> str:
    """The chart template of one or more CRDs. Raises ValueError for a document without top-level `metadata:`."""
    return HEADER.format(source=source) + CRD_CONDITION + _annotated(text, source, CRD_ANNOTATIONS) + "{{- end }}\n"


def seed_template(text: str, source: str) -> str:
    """The chart template of objects of our kinds (AcceleratorTypes)."""
    return HEADER.format(source=source) + SEED_CONDITION + _annotated(text, source, SEED_ANNOTATIONS) + "{{- end }}\n"


def _annotated(text: str, source: str, annotations: str) -> str:
    """Every document with our labels and annotations first in its metadata, and `{{` taken literally."""
    lines: list[str] = []
    documents, annotated, in_labels = 0, 0, False
    for line in _literal(text).splitlines(keepends=True):
        in_labels = in_labels and line.startswith("    ")
        name = _FLOW_METADATA.fullmatch(line.rstrip())
        documents += line.startswith("kind:")
        if name or line.rstrip() == "metadata:":
            annotated += 1
            lines += ["metadata:\n", "  labels:\n", LABELS, "  annotations:\n", annotations]
            lines += [f"  name: {name[1]}\n"] if name else []
        elif line.rstrip() == "  labels:":
            in_labels = True
        elif line.startswith("  annotations:") or (in_labels and not line.startswith("    app.kubernetes.io/")):
            raise ValueError(f"{source}: {line.strip()!r} is metadata that charts/sync.py does not merge")
        elif not in_labels:  # labels of that family are the chart's to give
            lines.append(line)
    if not documents or documents != annotated:
        raise ValueError(f"{source}: {documents} documents but {annotated} top-level `metadata:` lines")
    return "".join(lines) if lines[-1].endswith("\n") else "".join(lines) + "\n"


def _literal(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def wanted(root: Path = ROOT) -> dict[Path, str]:
    """Every file the chart must have below `templates/crds` and `templates/catalogue`, with its text."""
    files: dict[Path, str] = {}
    for path in sorted((root / "crds").glob("*.yaml")):
        files[Path("crds") / path.name] = crd_template(path.read_text(), f"crds/{path.name}")
    catalogue = root / "operator" / "polyhull" / "api" / "catalogue"
    for path in sorted(catalogue.glob("*.yaml")):
        source = str(path.relative_to(root))
        files[Path("catalogue") / path.name] = seed_template(path.read_text(), source)
    return files


def present(templates: Path = TEMPLATES) -> dict[Path, str]:
    """What the chart has there now."""
    found = [path for folder in ("crds", "catalogue") for path in (templates / folder).glob("*.yaml")]
    return {path.relative_to(templates): path.read_text() for path in sorted(found)}


def differences(have: Mapping[Path, str], want: Mapping[Path, str]) -> list[str]:
    """One line per file that is missing, stale or left over."""
    missing = [f"missing: {path}" for path in want if path not in have]
    stale = [f"stale: {path}" for path in want if path in have and have[path] != want[path]]
    return missing + stale + [f"left over: {path}" for path in have if path not in want]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if something differs")
    options = parser.parse_args(arguments)
    have, want = present(), wanted()
    found = differences(have, want)
    for line in found:
        print(line)
    if options.check:
        if found:
            print("run: python charts/sync.py", file=sys.stderr)
        return 1 if found else 0
    for path in have.keys() - want.keys():
        (TEMPLATES / path).unlink()
    for path, text in want.items():
        (TEMPLATES / path).parent.mkdir(parents=True, exist_ok=True)
        (TEMPLATES / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
