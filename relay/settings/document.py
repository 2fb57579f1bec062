"""A YAML configuration read as plain values, with the place in a file of each path."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from relay.core.encoding import whole
from relay.settings.composed import Composed, mark_of
from relay.settings.problems import ConfigurationError, Mark, Path, Problem, expected

CONFIGURATION = "expected a mapping with `accounts:`, `rooms:`, `route:`, …; `relay schema` prints all keys"
MAX_FILE = 4 * 2**20
MAX_INCLUDES = 100
_VARIABLE = re.compile(r"\$(\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_STRING = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Expanded(str):
    """A text in which variables are replaced by their values; `written` is the text in the file."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, text: str, written: str) -> Expanded:
        """Make a text that remembers how it was written."""
        made = super().__new__(cls, text)
        made.written = written
        return made


class Document(Composed):
    """The values of a configuration and their marks; `problems` are those found while reading."""

    def __init__(self, environment: Mapping[str, str] | None = None, what: str = CONFIGURATION) -> None:
        """`what` is the message for a file that is not a mapping: what was expected."""
        super().__init__()
        self._what = what
        self.values: dict[str, object] = {}
        self.is_whole = True
        """False if an included file could not be read."""
        self.text = b""
        self.environment = os.environ if environment is None else environment
        self._loader = yaml.SafeLoader("")

    def read(self, file: FilePath) -> None:
        """Read a file and the files that it includes. Raises `ConfigurationError` if the file can't be used at all."""
        if len(self.files) >= MAX_INCLUDES:
            self.add(("include",), f"expected at most {MAX_INCLUDES} files, found more")
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
            raise ConfigurationError([Problem(mark_of(node, name), "", self._what)])
        self.marks.setdefault((), mark_of(node, name))
        value = self._build(node, (), name, ())
        assert isinstance(value, dict)  # noqa: S101 - a mapping node gives one
        include = value.pop("include", [])
        self._merge(value)
        for position, other in enumerate(include if isinstance(include, list) else [include]):
            self._include(other, ("include", position), file)

    def _include(self, other: object, path: Path, including: FilePath) -> None:
        if not isinstance(other, str):
            self.add(path, expected("the path of a file", other, secret=True))
            return
        file = including.parent / other
        if str(file) in self.files:
            self.add(path, f"{other} is included already")
            return
        try:
            self.read(file)
        except ConfigurationError as error:
            self.problems.extend(error.problems)
            self.is_whole = False

    def _merge(self, value: dict[str, object]) -> None:
        """Add the sections of a file. Sections of named things add up; any other section may be given only once."""
        for section, content in value.items():
            known = self.values.get(section)
            if known is None:
                self.values[section] = content
            elif isinstance(known, dict) and isinstance(content, dict):
                for name, item in content.items():
                    if name in known:
                        self.add((section, name), "given in two files; remove one")
                    known[name] = item
            else:
                self.add((section,), "given in two files; remove one")

    def rename(self, path: Path, name: str) -> None:
        """Give a key another name, as if it had been written so."""
        above: Any = self.values
        for step in path[:-1]:
            above = above[step]
        if path[-1] in above:
            above[name] = above.pop(path[-1])
        for marks in (self.marks, self.keys):
            moved = {at: mark for at, mark in marks.items() if at[: len(path)] == path}
            marks.update({(*path[:-1], name, *at[len(path) :]): mark for at, mark in moved.items()})

    def _scalar(self, node: yaml.Node, path: Path, file: str) -> object:
        if node.tag == _TIMESTAMP or (node.tag in _NUMBERS and ":" in node.value):
            node.tag = _STRING  # 21:30 is a time of day here; YAML 1.1 reads it as a number to base 60
        try:
            value = self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):  # the texts of these errors quote the value, which may be a secret
            message = "does not have the form that its tag or its first characters announce; put it in quotes for text"
            self.add(path, message, mark_of(node, file))
            return None
        if not isinstance(value, str):
            return value
        found = whole(self._expand(value, path, mark_of(node, file)))
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
    """Return the text of a file, or of standard input for `-`. Raises `ConfigurationError`."""
    mark = Mark(str(file), 1, 1)
    try:
        if str(file) == "-":
            return _decode(sys.stdin.buffer.read(MAX_FILE + 1), file)
        if file.is_dir():
            raise ConfigurationError([Problem(mark, "", "expected a file, found a directory")])
        if file.exists() and not file.is_file() and str(file) != "/dev/stdin":
            raise ConfigurationError([Problem(mark, "", "expected a regular file, found a device or a socket")])
        with file.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError([Problem(mark, "", f"can't be read: {error.strerror}")]) from error
    return _decode(raw, file)


def _decode(raw: bytes, file: FilePath) -> str:
    mark = Mark(str(file), 1, 1)
    if len(raw) > MAX_FILE:
        raise ConfigurationError([Problem(mark, "", f"expected at most {MAX_FILE // 2**20} MiB, found more")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = "the file is not UTF-8 here; save it as UTF-8"
        raise ConfigurationError([Problem(Mark(str(file), line, column), "", message)]) from error


def compose(text: str, name: str) -> yaml.Node | None:
    """Return the only document of a YAML text as nodes; None if the text is empty. Raises `ConfigurationError`."""
    try:
        return _one(yaml.compose_all(text, Loader=yaml.SafeLoader), name)
    except RecursionError as error:
        raise ConfigurationError([Problem(Mark(name, 1, 1), "", "nested too deeply")]) from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(name, place.line + 1, place.column + 1) if place else Mark(name, 1, 1)
        hint = "; indent with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
        context = f" ({error.context})" if error.context else ""
        problem = error.problem
        if isinstance(error, yaml.composer.ComposerError):  # its text quotes a name that may be the start of a secret
            problem = "an alias (*) without an anchor, or an anchor (&) given twice; put the value in quotes for text"
        raise ConfigurationError([Problem(mark, "", f"not valid YAML: {problem}{context}{hint}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"not valid YAML: found a control character ({error.character!r}); remove it"
        raise ConfigurationError([Problem(Mark(name, line, 1), "", message)]) from error


def _one(documents: Iterator[yaml.Node | None], name: str) -> yaml.Node | None:
    first = next(documents, None)
    second = next(documents, None)
    if second is not None:
        message = "expected one document in a file, found a second one (`---`)"
        raise ConfigurationError([Problem(mark_of(second, name), "", message)])
    return first
