"""YAML nodes as plain values, and the place of each value in its file."""

from __future__ import annotations

from abc import ABC, abstractmethod

import yaml

from relay.settings.problems import ConfigurationError, Mark, Path, Problem, dotted

MAX_NODES = 200_000
"""Values that a configuration may have after its aliases are followed."""
MAX_DEPTH = 50
_MERGE = "tag:yaml.org,2002:merge"


class Composed(ABC):
    """Values that are built from nodes, with their marks; `problems` are what reading alone has found."""

    def __init__(self) -> None:
        self.marks: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self.problems: list[Problem] = []
        self.files: list[str] = []
        self._nodes = 0

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Where a path stands, or the nearest part of it that does."""
        while path:
            found = (self.keys.get(path) if key else None) or self.marks.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return self.marks.get((), Mark(self.files[0] if self.files else "-", 1, 1))

    def add(self, path: Path, message: str, mark: Mark | None = None) -> None:
        """Note a problem."""
        self.problems.append(Problem(mark or self.mark(path), dotted(path), message))

    @abstractmethod
    def _scalar(self, node: yaml.Node, path: Path, file: str) -> object:
        """Return the value of a scalar."""

    def _join(self, values: dict[str, object], merged: dict[str, object], path: Path) -> dict[str, object]:  # noqa: ARG002 - a reading of its own may name the place
        """Return a mapping's own values over those that it merges (`<<`)."""
        return {**merged, **values}

    def _build(self, node: yaml.Node, path: Path, file: str, above: tuple[int, ...]) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(above) > MAX_DEPTH or id(node) in above:
            said = "aliases or nesting make this larger than a configuration can be"
            raise ConfigurationError([Problem(mark_of(node, file), dotted(path), said)])
        self.marks.setdefault(path, mark_of(node, file))
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, file, above)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, position), file, above) for position, item in enumerate(node.value)]
        return self._scalar(node, path, file)

    def _mapping(self, node: yaml.MappingNode, path: Path, file: str, above: tuple[int, ...]) -> dict[str, object]:
        values: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                self.keys.setdefault((*path, "<<"), mark_of(key, file))
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    built = self._build(source, (*path, "<<"), file, above)
                    if not isinstance(built, dict):
                        self.add((*path, "<<"), "merges a mapping, or a list of them", mark_of(source, file))
                        continue
                    merged = {**built, **merged}
                continue
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if not name:
                self.add(path, "a key is text", mark_of(key, file))
                continue
            if name in values:
                self.add((*path, name), "given twice", mark_of(key, file))
            self.keys.setdefault((*path, name), mark_of(key, file))
            values[name] = self._build(value, (*path, name), file, above)
        return self._join(values, merged, path)


def mark_of(node: yaml.Node, file: str) -> Mark:
    """Return where a node begins."""
    return Mark(file, node.start_mark.line + 1, node.start_mark.column + 1)
