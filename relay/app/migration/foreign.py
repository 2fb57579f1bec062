"""A foreign YAML file whose scalars keep their written text.

Alertmanager reads YAML with Go's yaml.v2. If it expects text, a scalar is its text (`0123`, `yes`, `2026-01-02`), and
an unquoted null is empty. If it expects a boolean, `y`, `yes` and `on` are booleans.
"""

from __future__ import annotations

from pathlib import Path as FilePath

import yaml

from relay.core.encoding import whole
from relay.settings.composed import Composed, mark_of
from relay.settings.document import compose, read_text
from relay.settings.problems import ConfigurationError, Mark, Path, Problem

_STANDARD = "tag:yaml.org,2002:"
_NULL = f"{_STANDARD}null"
_BINARY = f"{_STANDARD}binary"
_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")


class Written(str):
    """The text of a scalar. `null` is true for an unquoted null; if `quoted`, it can't be a boolean."""

    __slots__ = ("null", "quoted")
    null: bool
    quoted: bool

    def __new__(cls, text: str, *, null: bool = False, quoted: bool = False) -> Written:
        """Make a text that remembers how it was written."""
        made = super().__new__(cls, text)
        made.null, made.quoted = null, quoted
        return made

    @property
    def boolean(self) -> bool | None:
        """The boolean that yaml.v2 reads from this text, or None."""
        if self.quoted or str(self) not in (*_TRUE, *_FALSE):
            return None
        return str(self) in _TRUE


class Foreign(Composed):
    """A file of another program; its `values` are mappings, lists and `Written` texts."""

    def __init__(self, text: str, name: str, what: str) -> None:
        """Read a text; `what` is the message for a file that is not a mapping. Raises `ConfigurationError`."""
        super().__init__()
        self.files.append(name)
        node = compose(text, name)
        if not isinstance(node, yaml.MappingNode):
            empty = "the file is empty; " if node is None else ""
            raise ConfigurationError([Problem(Mark(name, 1, 1), "", f"{empty}{what}")])
        self.values = self._mapping(node, (), name, (id(node),))

    @classmethod
    def read(cls, file: FilePath, what: str) -> Foreign:
        """Read a file, `-` for standard input. Raises `ConfigurationError`."""
        return cls(read_text(file), str(file), what)

    def _scalar(self, node: yaml.Node, path: Path, file: str) -> Written:
        if node.tag == _BINARY:
            self.add(path, "expected text, found binary data (!!binary); write it as text", mark_of(node, file))
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return Written(whole(node.value), null=plain and node.tag == _NULL, quoted=not plain)

    def _join(self, values: dict[str, object], merged: dict[str, object], path: Path) -> dict[str, object]:
        """Refuse keys that yaml.v2 and YAML read differently: merged after they are given, or merged deeply."""
        for name in values.keys() & merged.keys():
            late = self.keys[(*path, name)] < self.keys[(*path, "<<")]
            if late or (isinstance(values[name], dict) and isinstance(merged[name], dict)):
                message = (
                    "is merged (<<) and also given here; YAML and Alertmanager differ on which one wins: remove one"
                )
                self.add((*path, name), message, self.keys[(*path, name)])
        return super()._join(values, merged, path)
