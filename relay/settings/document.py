"""YAML, composed with marks: plain values, and for each path its place in a file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

import yaml

from relay.core.markdown import whole
from relay.settings.problems import ConfigurationError, Mark, Path, Problem, dotted

CONFIGURATION = "the configuration is a mapping (`accounts:`, `rooms:`, `route:`, …; `relay schema` tells all)"
MAX_FILE = 4 * 2**20
MAX_NODES = 200_000
"""Values that a configuration may have after its aliases are followed."""
MAX_DEPTH = 50
MAX_INCLUDES = 100
_VARIABLE = re.compile(r"\$(\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_STRING = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Expanded(str):
    """A text with the values of variables in it; `written` is how it stands in the file."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, text: str, written: str) -> Expanded:
        """Make it."""
        made = super().__new__(cls, text)
        made.written = written
        return made


class Document:
    """A configuration's values and marks; `problems` are what reading alone has found."""

    def __init__(self, environment: Mapping[str, str] | None = None, what: str = CONFIGURATION) -> None:
        """`what` says what a file is that is none."""
        self._what = what
        self.values: dict[str, object] = {}
        self.marks: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self.problems: list[Problem] = []
        self.files: list[str] = []
        self.text = b""
        self.environment = os.environ if environment is None else environment
        self._nodes = 0
        self._loader = yaml.SafeLoader("")

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

    def read(self, file: FilePath) -> None:
        """Read a file and what it includes. Raises `ConfigurationError` where it is no YAML at all."""
        if len(self.files) >= MAX_INCLUDES:
            self.add(("include",), f"more than {MAX_INCLUDES} files are included")
            return
        name = str(file)
        self.files.append(name)
        text = read_text(file)
        self.text += text.encode() + b"\0"
        node = compose(text, name)
        if node is None:
            if len(self.files) == 1:
                mark = Mark(name, 1, 1)
                raise ConfigurationError([Problem(mark, "", f"the file is empty; {self._what}")])
            return
        if not isinstance(node, yaml.MappingNode):
            raise ConfigurationError([Problem(_mark(node, name), "", self._what)])
        self.marks.setdefault((), _mark(node, name))
        value = self._build(node, (), name, ())
        assert isinstance(value, dict)  # noqa: S101 - a mapping node gives one
        include = value.pop("include", [])
        self._merge(value)
        for position, other in enumerate(include if isinstance(include, list) else [include]):
            self._include(other, ("include", position), file)

    def _include(self, other: object, path: Path, including: FilePath) -> None:
        if not isinstance(other, str):
            self.add(path, "the path of a file would be right, as text")
            return
        file = including.parent / other
        if str(file) in self.files:
            self.add(path, f"{other} is included already")
            return
        try:
            self.read(file)
        except ConfigurationError as error:
            self.problems.extend(error.problems)

    def _merge(self, value: dict[str, object]) -> None:
        """Take a file's sections; named things of several files add up, single values are given once."""
        for section, content in value.items():
            known = self.values.get(section)
            if known is None:
                self.values[section] = content
            elif isinstance(known, dict) and isinstance(content, dict):
                for name, item in content.items():
                    if name in known:
                        self.add((section, name), "given in two files")
                    known[name] = item
            else:
                self.add((section,), "given in two files")

    def _build(self, node: yaml.Node, path: Path, file: str, above: tuple[int, ...]) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(above) > MAX_DEPTH or id(node) in above:
            said = "aliases or nesting make this larger than a configuration can be"
            raise ConfigurationError([Problem(_mark(node, file), dotted(path), said)])
        self.marks.setdefault(path, _mark(node, file))
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
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    built = self._build(source, (*path, "<<"), file, above)
                    if not isinstance(built, dict):
                        self.add((*path, "<<"), "merges a mapping, or a list of them", _mark(source, file))
                        continue
                    merged = {**built, **merged}
                continue
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if not name:
                self.add(path, "a key is text", _mark(key, file))
                continue
            if name in values:
                self.add((*path, name), "given twice", _mark(key, file))
            self.keys.setdefault((*path, name), _mark(key, file))
            values[name] = self._build(value, (*path, name), file, above)
        return {**merged, **values}

    def _scalar(self, node: yaml.Node, path: Path, file: str) -> object:
        if node.tag == _TIMESTAMP or (node.tag in _NUMBERS and ":" in node.value):
            node.tag = _STRING  # 21:30 is a time of day, and no number of base 60 as YAML 1.1 has it
        try:
            value = self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):  # their texts quote the value, which may be a secret
            self.add(path, "can't be read as what its tag or form says; quotes make it text", _mark(node, file))
            return None
        if not isinstance(value, str):
            return value
        found = whole(self._expand(value, path, _mark(node, file)))
        return Expanded(found, value) if found != value else found

    def _expand(self, text: str, path: Path, mark: Mark) -> str:
        if "$" not in text:
            return text

        def one(found: re.Match[str]) -> str:
            name = found[2]
            if name is None:
                return "$" if text[found.end() : found.end() + 1] == "{" else found[0]
            if name not in self.environment:
                self.add(
                    path, f"the environment variable {name} is not set (write $${{{name}}} for the text itself)", mark
                )
                return ""
            return self.environment[name]

        return _VARIABLE.sub(one, text)


def read_text(file: FilePath) -> str:
    """A file's text. Raises `ConfigurationError` with what stands in the way."""
    mark = Mark(str(file), 1, 1)
    try:
        if str(file) == "-":
            return _decode(sys.stdin.buffer.read(MAX_FILE + 1), file)
        if file.is_dir():
            raise ConfigurationError([Problem(mark, "", "is a directory; the path of a file would be right")])
        if file.exists() and not file.is_file() and str(file) != "/dev/stdin":
            raise ConfigurationError([Problem(mark, "", "is no regular file")])
        with file.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError([Problem(mark, "", f"can't be read: {error.strerror}")]) from error
    return _decode(raw, file)


def _decode(raw: bytes, file: FilePath) -> str:
    mark = Mark(str(file), 1, 1)
    if len(raw) > MAX_FILE:
        raise ConfigurationError([Problem(mark, "", f"is over {MAX_FILE // 2**20} MiB")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigurationError([Problem(Mark(str(file), line, column), "", "is not UTF-8 here")]) from error


def compose(text: str, name: str) -> yaml.Node | None:
    """The one document of a YAML text as nodes. Raises `ConfigurationError`."""
    try:
        return _one(yaml.compose_all(text, Loader=yaml.SafeLoader), name)
    except RecursionError as error:
        raise ConfigurationError([Problem(Mark(name, 1, 1), "", "nested too deeply")]) from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(name, place.line + 1, place.column + 1) if place else Mark(name, 1, 1)
        hint = "; indent with blanks, not tabs" if "'\\t'" in str(error.problem) else ""
        context = f" ({error.context})" if error.context else ""
        problem = error.problem
        if isinstance(error, yaml.composer.ComposerError):  # its text quotes the name, which may begin a secret
            problem = "an alias (*) or anchor (&) that does not fit; quotes make it text"
        raise ConfigurationError([Problem(mark, "", f"no YAML: {problem}{context}{hint}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        said = f"no YAML: a control character ({error.character!r}) stands here"
        raise ConfigurationError([Problem(Mark(name, line, 1), "", said)]) from error


def _one(documents: Iterator[yaml.Node | None], name: str) -> yaml.Node | None:
    first = next(documents, None)
    second = next(documents, None)
    if second is not None:
        said = "a second document (`---`) begins here; one file holds one"
        raise ConfigurationError([Problem(_mark(second, name), "", said)])
    return first


def _mark(node: yaml.Node, file: str) -> Mark:
    return Mark(file, node.start_mark.line + 1, node.start_mark.column + 1)
