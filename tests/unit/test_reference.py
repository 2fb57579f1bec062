"""What users can name is described: each key of the configuration, each command, metric, reason and state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import typer.main
import yaml
from prometheus_client.parser import text_string_to_metric_families

from relay.cli import app
from relay.core.delivery import RESULTS, DeliveryState, Reason
from relay.core.findings import CODES, CRITICAL, Code
from relay.core.severity import FOREIGN, Severity
from relay.settings.model import Settings
from relay.settings.section import Strict
from relay.settings.sources import SourceBase
from relay.web.metrics import CLOSED, REFUSED, SUPPRESSED, Metrics

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config" / "README.md"
OPERATING = (ROOT / "systemd" / "operating.md").read_text(encoding="utf-8")
SOURCES = (ROOT / "config" / "sources.md").read_text(encoding="utf-8")
SCHEMA = Settings.model_json_schema(by_alias=True)
_TABLE = re.compile(r"(<!-- table: (\w+)(?: at (\S+))? -->\n)(.*?)(<!-- end -->\n)(.*?)(?=\n#|\Z)", re.DOTALL)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
COMMON = set(SourceBase.model_fields)


def kind_of(name: str) -> type[Strict]:
    """The section of the configuration with this name."""
    below = list(Strict.__subclasses__())
    for kind in below:
        below.extend(kind.__subclasses__())
    return next(kind for kind in below if kind.__name__ == name)


def sections() -> list[tuple[str, str, str, str]]:
    """Of each table of the reference: its model, where its examples lie, its text, and what follows it."""
    found = _TABLE.findall(REFERENCE.read_text(encoding="utf-8"))
    return [(name, at, table, behind) for _, name, at, table, _, behind in found]


def keys_of(name: str) -> dict[str, dict[str, Any]]:
    """A model's keys with their schemas; of a kind of source those that not every source has."""
    kind = kind_of(name)
    schema = kind.model_json_schema(by_alias=True)["properties"] if name != "RouteSettings" else None
    properties: dict[str, dict[str, Any]] = schema or SCHEMA["$defs"][name]["properties"]
    inherited = COMMON if issubclass(kind, SourceBase) and kind is not SourceBase else set()
    return {key: value for key, value in properties.items() if key not in inherited}


def type_words(schema: dict[str, Any]) -> str:
    """A value's type as a reader has it."""
    if "anyOf" in schema:
        words = [type_words(one) for one in schema["anyOf"] if one.get("type") != "null"]
        if any("env" in one.get("properties", {}) for one in schema["anyOf"]):
            return "secret"
        if any("size" in word for word in words):
            return "size"
        return " or ".join(dict.fromkeys(words))
    if "$ref" in schema:
        return "section"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    return _plain_words(schema)


_BY_PATTERN = {"(y|w|d|h|m|s|ms)": "duration", "[smh]": "rate", "[kKMGT]": "size"}
_BY_TYPE = {"object": "by name", "boolean": "true or false", "integer": "number", "string": "text"}


def _plain_words(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return f"list of {type_words(schema['items'] or {})}"
    by_pattern = (word for sign, word in _BY_PATTERN.items() if sign in schema.get("pattern", ""))
    return next(by_pattern, _BY_TYPE.get(schema.get("type", ""), "any JSON"))


def default_words(key: str, schema: dict[str, Any], required: set[str]) -> str:
    """A key's default as it would be written."""
    if key in required:
        return "required"
    value = schema.get("default")
    if value in (None, [], {}, ()) or isinstance(value, dict):
        return "none"
    kind = type_words(schema)
    if kind == "duration":
        factor, unit = next((f, u) for f, u in _UNITS if float(value) % f == 0)
        return f"`{int(float(value) // factor)}{unit}`"
    if kind == "size":
        factor, unit = next(
            (f, u) for f, u in ((2**30, "GiB"), (2**20, "MiB"), (1024, "KiB"), (1, "")) if value % f == 0
        )
        return f"`{value // factor}{unit}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(name: str) -> str:
    """A model's table."""
    kind = kind_of(name)
    whole = SCHEMA["$defs"].get(name) or kind.model_json_schema(by_alias=True)
    required = set(whole.get("required", ()))
    rows = [
        f"| `{key}` | {type_words(schema)} | {default_words(key, schema, required)} | {_cell(said_of(schema))} |"
        for key, schema in keys_of(name).items()
    ]
    return "\n".join(["| key | type | default | what it says |", "|---|---|---|---|", *rows]) + "\n"


def said_of(schema: dict[str, Any]) -> str:
    """What a key says; where it is the very words of its section, the schema has them there."""
    said: str = schema.get("description") or SCHEMA["$defs"].get(schema.get("$ref", "").rpartition("/")[2], {}).get(
        "description", ""
    )
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def examples(at: str, behind: str) -> Iterator[Any]:
    """What the YAML behind a table has at a place like `rooms.*`."""
    for block in re.findall(r"```yaml\n(.*?)```", behind, re.DOTALL):
        for document in yaml.safe_load_all(block):
            yield from _at(document, at.split(".") if at else [])


def _at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
    elif steps[0] == "*":
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _at(one, steps[1:])
    elif isinstance(value, dict) and steps[0] in value:
        yield from _at(value[steps[0]], steps[1:])


def test_the_tables_of_all_keys_are_current(update_golden: bool) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    fresh = _TABLE.sub(lambda found: found[1] + table(found[2]) + found[5] + found[6], text)
    if update_golden:
        REFERENCE.write_text(fresh, encoding="utf-8")
    assert fresh == text, "pytest tests/unit/test_reference.py --update-golden writes them anew"


def test_every_section_has_its_table() -> None:
    described = {name for name, *_ in sections()}
    sources = {"WebhookSettings", "PushSettings", "AlertmanagerApiSettings"}  # what they have is PostedSettings'
    assert described | sources >= {*SCHEMA["$defs"], "Settings", "SourceBase", "PostedSettings"}
    assert all(said_of(schema) or key == "type" for name in described for key, schema in keys_of(name).items())


@pytest.mark.parametrize(("name", "at", "behind"), [(name, at, behind) for name, at, _, behind in sections()])
def test_every_key_has_an_example_that_is_good(name: str, at: str, behind: str) -> None:
    found = [one for one in examples(at, behind) if isinstance(one, dict)]
    shown = {key for one in found for key in one}
    assert shown >= set(keys_of(name)) - {"type"}, set(keys_of(name)) - shown
    kind = SCHEMA["$defs"].get(name)
    for one in found:
        if kind is not None:
            jsonschema.validate(one, {**kind, "$defs": SCHEMA["$defs"]})


def commands(group: Any, above: str = "relay") -> Iterator[tuple[str, Any]]:
    """All commands with their names in full."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_described_and_has_an_example(name: str, command: Any) -> None:
    assert f"| `{name}" in OPERATING, "the table of commands in systemd/operating.md"
    assert "Example: relay" in (command.help or "")
    assert all(getattr(one, "help", None) for one in command.params), [one.name for one in command.params]


@pytest.mark.parametrize(
    "metric",
    sorted({family.name for family in text_string_to_metric_families(Metrics(["s"], {"r": "a"}, 1).expose().decode())}),
)
def test_every_metric_is_described(metric: str) -> None:
    assert re.search(rf"`{metric}(_total)?[`{{]", OPERATING), metric


@pytest.mark.parametrize("severity", FOREIGN)
def test_every_severity_word_is_described(severity: Severity) -> None:
    assert f"| `{severity}` | {', '.join(FOREIGN[severity])} |\n" in SOURCES


@pytest.mark.parametrize(
    "word", sorted({*get_args(Reason), *SUPPRESSED, *REFUSED, *CLOSED, *RESULTS, *get_args(DeliveryState)})
)
def test_every_reason_and_state_is_described(word: str) -> None:
    assert f"| `{word}` |" in OPERATING, word


@pytest.mark.parametrize("code", CODES)
def test_every_finding_is_described_with_its_severity(code: Code) -> None:
    (row,) = re.findall(rf"^\| `{code}` \| (\w+) \|", OPERATING, re.MULTILINE)
    assert row in ({"critical"} if code in CRITICAL else {"warning", "either"})
