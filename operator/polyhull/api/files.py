"""YAML files to objects with line numbers, and to a snapshot: `polyhull plan -f` and `validate -f` start here."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polyhull.api.check import Known, rule_of
from polyhull.api.inventory import pools_of
from polyhull.api.kinds import BY_NAME
from polyhull.api.parse import where_of
from polyhull.api.results import part
from polyhull.api.v1alpha1.common import API_VERSION, GROUP
from polyhull.api.world import Ref, World, ref_of, world_of
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Fleet, Pool
from polyhull.domain.labels import Labels, labels_of
from polyhull.domain.snapshot import Snapshot

SUFFIXES = (".yaml", ".yml", ".json")
MOST_BYTES = 64 * 2**20
MOST_PRIORITY = 1_000_000
STDIN = Path("-")
CLUSTER_LABEL = "polyhull.io/cluster"
"""On Node and Pod objects in files: the member they belong to, where there are several."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """SafeLoader that leaves instants as text (as Kubernetes does) and refuses a key given twice."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _construct_mapping(loader: Any, node: yaml.MappingNode, deep: bool = False) -> Any:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_Loader.construct_mapping = _construct_mapping


@dataclass(frozen=True, slots=True)
class Document:
    """One object, where it stands, and the tree that knows the lines of its fields."""

    raw: Mapping[str, Any]
    file: str
    line: int
    tree: yaml.Node

    def line_of(self, field: str) -> int:
        """Line (from 1) of a field such as `spec.options[0].rate`, or of the nearest thing around it."""
        node, line = self.tree, self.line
        for step in field.replace("[", ".[").split("."):
            if step.startswith("[") and isinstance(node, yaml.SequenceNode):
                index = int(step[1:-1])
                if index >= len(node.value):
                    break
                node = node.value[index]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if getattr(pair[0], "value", None) == step), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            else:
                break
        return line


@dataclass(frozen=True, slots=True)
class Loaded:
    """Objects of ours, and the core objects that describe capacity; `findings` about what could not be read."""

    documents: tuple[Document, ...]
    nodes: tuple[Document, ...]
    pods: tuple[Document, ...]
    namespaces: Mapping[str, Labels]
    findings: tuple[InvalidInput, ...]


def load(paths: Iterable[str | Path]) -> Loaded:
    """Read files and folders (all *.yaml, *.yml, *.json below them, hidden ones left out); `-` is standard input.

    Kinds of other groups are passed over, except Node, Pod and Namespace of core/v1; a List is opened.
    """
    findings: list[InvalidInput] = []
    documents: list[Document] = []
    for file in _files(paths, findings):
        documents += _read(file, findings)
    ours: dict[Ref, Document] = {}
    nodes, pods = [], []
    namespaces: dict[str, Labels] = {}
    for document in documents:
        raw = document.raw
        version, kind = str(raw.get("apiVersion") or ""), str(raw.get("kind") or "")
        if version == "v1" and kind == "Node":
            nodes.append(document)
        elif version == "v1" and kind == "Pod":
            pods.append(document)
        elif version == "v1" and kind == "Namespace":
            name = str(part(raw, "metadata").get("name"))
            labels = part(part(raw, "metadata"), "labels")
            namespaces[name] = labels_of({"kubernetes.io/metadata.name": name, **labels})
        elif not version or not kind:
            remedy = f"write apiVersion: {API_VERSION} and a kind, or move the file elsewhere"
            findings.append(InvalidInput(document.file, "kind", "not a Kubernetes object", remedy, document.line))
        elif version.partition("/")[0] == GROUP or kind in BY_NAME:
            _add(document, ours, findings)
    return Loaded(tuple(ours.values()), tuple(nodes), tuple(pods), namespaces, tuple(findings))


def world_from_files(paths: Iterable[str | Path]) -> tuple[World, Loaded, tuple[InvalidInput, ...]]:
    """All objects of the files, checked against each other, with findings sorted by file and line."""
    loaded = load(paths)
    by_ref = {ref_of(document.raw): document for document in loaded.documents}
    namespaces = dict(loaded.namespaces)
    for ref in by_ref:
        if ref.namespace:
            namespaces.setdefault(ref.namespace, (("kubernetes.io/metadata.name", ref.namespace),))
    world = world_of(
        [document.raw for document in loaded.documents],
        namespaces=namespaces,
        files={ref: document.file for ref, document in by_ref.items()},
    )
    findings = list(loaded.findings)
    for ref, verdict in world.verdicts.items():
        document = by_ref[ref]
        where = where_of(document.raw, document.file)
        for problem in verdict.problems:
            line = document.line_of(problem.field)
            findings.append(InvalidInput(where, problem.field, problem.problem, problem.remedy, line))
        findings += [refusal.as_problem(where, document.line_of(refusal.field)) for refusal in verdict.refusals]
    findings.sort(key=lambda finding: (finding.where, finding.line or 0, finding.field))
    return world, loaded, tuple(findings)


def snapshot_from_files(paths: Iterable[str | Path], now: float) -> tuple[Snapshot, tuple[InvalidInput, ...]]:
    """What the files describe, frozen at `now` (seconds since the epoch), and everything wrong with them.

    Objects with findings are left out of the snapshot. Pools come from Node objects and from ComputePools with
    `capacity.nodes`; with neither MemberCluster nor Site there is one cluster and one site, both named `local`.
    """
    world, loaded, findings = world_from_files(paths)
    pools, more = _pools(world, loaded)
    fleet = Fleet(world.sites, world.links, world.clusters, pools, world.accelerators)
    snapshot = Snapshot(
        taken_at=now,
        fleet=fleet,
        jobs=world.jobs,
        services=world.services,
        data_sets=world.data_sets,
        transfers=world.transfers,
        policy=world.policy,
    )
    return snapshot, findings + more


def highest_priority(paths: Iterable[str | Path], namespace: str) -> int:
    """The highest tier that jobs of the namespace may ask for; MOST_PRIORITY where no policy limits it."""
    world, loaded, _ = world_from_files(paths)
    rule = rule_of(namespace, Known({}, rules=world.rules, namespaces=loaded.namespaces))
    return rule.priority_range[1] if rule is not None and rule.priority_range is not None else MOST_PRIORITY


def validate_files(paths: Iterable[str | Path]) -> tuple[int, tuple[InvalidInput, ...]]:
    """How many objects were read, and the findings."""
    world, loaded, findings = world_from_files(paths)
    count = len(loaded.documents) + len(loaded.nodes) + len(loaded.pods)
    return count, findings + _pools(world, loaded)[1]


def _pools(world: World, loaded: Loaded) -> tuple[tuple[Pool, ...], tuple[InvalidInput, ...]]:
    findings: list[InvalidInput] = []
    pools: list[Pool] = []
    names = {cluster.name for cluster in world.clusters}
    homes = {id(document): _cluster_of(document, names, findings) for document in loaded.nodes}
    for cluster in world.clusters:
        nodes = [document.raw for document in loaded.nodes if homes[id(document)] == cluster.name]
        here = {str(part(raw, "metadata").get("name")) for raw in nodes}
        pods = [pod.raw for pod in loaded.pods if part(pod.raw, "spec").get("nodeName") in here]
        pools += pools_of(
            cluster.name,
            cluster.site,
            nodes,
            pods,
            world.declared_pools,
            world.accelerators,
            declared_nodes=True,
        )
    return tuple(sorted(pools, key=lambda pool: pool.name)), tuple(findings)


def _cluster_of(document: Document, names: set[str], findings: list[InvalidInput]) -> str | None:
    labels = part(part(document.raw, "metadata"), "labels")
    given = labels.get(CLUSTER_LABEL)
    if given is None and len(names) == 1:
        return next(iter(names))
    if given in names:
        return str(given)
    problem = "is missing" if given is None else f"names no MemberCluster: {given}"
    remedy = f"label the node {CLUSTER_LABEL}: one of {', '.join(sorted(names)) or 'the MemberClusters'}"
    where = where_of(document.raw, document.file)
    line = document.line_of("metadata.labels")
    findings.append(InvalidInput(where, f"metadata.labels[{CLUSTER_LABEL}]", problem, remedy, line))
    return None


def _add(document: Document, ours: dict[Ref, Document], findings: list[InvalidInput]) -> None:
    raw = document.raw
    where = where_of(raw, document.file)
    if raw.get("apiVersion") != API_VERSION or raw.get("kind") not in BY_NAME:
        remedy = f"write apiVersion: {API_VERSION} and one of the kinds {', '.join(BY_NAME)}"
        problem = f"{raw.get('apiVersion')}, {raw.get('kind')} is not a kind of Polyhull"
        findings.append(InvalidInput(where, "kind", problem, remedy, document.line))
        return
    ref = ref_of(raw)
    if ref in ours:
        first = ours[ref]
        remedy = f"delete it here or at {first.file}:{first.line}"
        findings.append(InvalidInput(where, "metadata.name", "is declared twice", remedy, document.line))
        return
    ours[ref] = document


def _files(paths: Iterable[str | Path], findings: list[InvalidInput]) -> list[Path]:
    out: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix in SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
            if not inside:
                findings.append(
                    InvalidInput(
                        str(path), "", "holds no YAML file", "add a file that ends in " + ", ".join(SUFFIXES)
                    )
                )
            out += inside
        elif path == STDIN or path.is_file() or path.is_fifo():
            out.append(path)
        else:
            findings.append(InvalidInput(str(path), "", "does not exist", "name a file or a folder"))
    return out


def _read(file: Path, findings: list[InvalidInput]) -> list[Document]:
    try:
        if file != STDIN and file.stat().st_size > MOST_BYTES:
            findings.append(InvalidInput(str(file), "", "is larger than 64 MiB", "split it"))
            return []
        text = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        findings.append(InvalidInput(str(file), "", f"cannot be read: {error}", "make it readable UTF-8 text"))
        return []
    out: list[Document] = []
    loader = _Loader(text)
    try:
        while loader.check_node():
            tree = loader.get_node()
            raw = loader.construct_document(tree)
            out += _documents(raw, tree, str(file), findings)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        findings.append(InvalidInput(str(file), "", f"is not YAML: {error.problem}", "correct it", line))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        findings.append(InvalidInput(str(file), "", f"is not YAML: {error}", "correct it"))
    finally:
        loader.dispose()
    return out


def _documents(raw: Any, tree: yaml.Node, file: str, findings: list[InvalidInput]) -> Sequence[Document]:
    if raw is None:
        return ()
    line = tree.start_mark.line + 1
    if not isinstance(raw, Mapping):
        findings.append(InvalidInput(file, "", "a document is not an object", "write apiVersion, kind, …", line))
        return ()
    items = raw.get("items")
    if str(raw.get("kind", "")).endswith("List") and isinstance(items, list):
        trees = _item_trees(tree)
        pairs = zip(items, trees, strict=False)
        return [
            Document(item, file, part.start_mark.line + 1, part) for item, part in pairs if isinstance(item, Mapping)
        ]
    return (Document(raw, file, line, tree),)


def _item_trees(tree: yaml.Node) -> list[yaml.Node]:
    assert isinstance(tree, yaml.MappingNode)
    for key, value in tree.value:
        if getattr(key, "value", None) == "items" and isinstance(value, yaml.SequenceNode):
            return list(value.value)
    return []
