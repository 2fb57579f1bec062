"""Building plain values from YAML nodes, with the place of each value in its file."""

from __future__ import annotations

from abc import ABC, abstractmethod

import yaml

from relay.settings.problems import ConfigurationError, Mark, Path, Problem, dotted, expected

MAX_NODES = 200_000
"""Most values of a configuration once its aliases are followed: nested aliases can multiply a small file."""
MAX_DEPTH = 50
_MERGE = "tag:yaml.org,2002:merge"


class Composed(ABC):
    """Values built from nodes, with their marks; `problems` are those found while reading."""

    def __init__(self) -> None:
        self.marks: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self.problems: list[Problem] = []
        self.files: list[str] = []
        self._nodes = 0

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Return the place of a path, or of the longest part of it that has one; with `key`, of its key."""
        while path:
            found = (self.keys.get(path) if key else None) or self.marks.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return self.marks.get((), Mark(self.files[0] if self.files else "-", 1, 1))

    def add(self, path: Path, message: str, mark: Mark | None = None) -> None:
        """Record a problem."""
        self.problems.append(Problem(mark or self.mark(path), dotted(path), message))

    @abstractmethod
    def _scalar(self, node: yaml.Node, path: Path, file: str) -> object:
        """Return the value of a scalar."""

    def _join(self, values: dict[str, object], merged: dict[str, object], path: Path) -> dict[str, object]:  # noqa: ARG002 - a subclass may name the place
        """Return a mapping's own values over those that it merges (`<<`)."""
        return {**merged, **values}

    def _build(self, node: yaml.Node, path: Path, file: str, above: tuple[int, ...]) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(above) > MAX_DEPTH or id(node) in above:
            message = f"aliases or nesting give more than {MAX_NODES:,} values or {MAX_DEPTH} levels; use fewer aliases"
            raise ConfigurationError([Problem(mark_of(node, file), dotted(path), message)])
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
                        message = expected("a mapping or a list of mappings to merge", built, secret=True)
                        self.add((*path, "<<"), message, mark_of(source, file))
                        continue
                    merged = {**built, **merged}
                continue
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if not name:
                self.add(path, "expected a key of text", mark_of(key, file))
                continue
            if name in values:
                self.add((*path, name), "given twice; remove one", mark_of(key, file))
            self.keys.setdefault((*path, name), mark_of(key, file))
            built = self._build(value, (*path, name), file, above)
            before = values.get(name)
            both = isinstance(before, dict) and isinstance(built, dict)
            values[name] = {**before, **built} if both else built  # type: ignore[dict-item]  # both are mappings
        return self._join(values, merged, path)


def mark_of(node: yaml.Node, file: str) -> Mark:
    """Return the place where a node begins."""
    return Mark(file, node.start_mark.line + 1, node.start_mark.column + 1)
