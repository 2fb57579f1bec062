"""Imported configurations beside Alertmanager itself: `python -m tests.acceptance.importing FILE…`.

Each file is imported, and labels drawn from its own matchers and beyond are routed by the relay and by `amtool` (0.25,
which must be installed). Without files random configurations in all old and new forms are tried. Prints a table and the
differences, and ends with 1 where there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from relay.app.migration.making import Migrated, migrate
from relay.app.migration.matchers import read_matchers
from relay.core.matching import LABEL_PREFIX, BadMatcherError
from relay.formats import FORMATS
from relay.settings.load import load
from relay.settings.problems import ConfigurationError
from relay.settings.rules import compile_rules
from tests.acceptance.differential import NAMES, PATTERNS, VALUES, WORKERS, Labels, ask_amtool, own_room, some_matchers

SETS = 40
"""Label sets that each file is asked about."""
CONFIGURATIONS = 60
SHOWN = 20
LABELS = (*NAMES, "severity", "source")
PLAIN = ("true", "yes", "off", "0123", "1.10", "65_000", "0x1F", "2026-01-02", "21:00", "1e3", "~x", "no", ".5", "=")
"""Scalars that YAML would take for something else than text."""


@dataclass
class Tried:
    """What came of a file."""

    name: str
    routes: int = 0
    refused: str = ""
    notes: int = 0
    differences: list[str] = field(default_factory=list)


def written(file: Path) -> dict[str, Any]:
    """The file with every scalar as text."""
    found = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 - makes texts alone
    return dict(found) if isinstance(found, dict) else {}


def nodes(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A route and all below it, depth first."""
    yield route
    for child in route.get("routes") or ():
        yield from nodes(child)


def rooms_of_receivers(theirs: Mapping[str, Any], made: Migrated) -> dict[str, list[str]]:
    """The rooms of each receiver that a route names, from both trees side by side."""
    pairs = zip(nodes(theirs["route"]), nodes(made.settings["route"]), strict=True)
    return {str(their["receiver"]): our["rooms"] for their, our in pairs if "rooms" in our}


def values_in(route: Mapping[str, Any]) -> dict[str, set[str]]:
    """The labels that a tree asks for, and values that may satisfy it."""
    found: dict[str, set[str]] = {}
    for node in nodes(route):
        for name, value in [*(node.get("match") or {}).items(), *(node.get("match_re") or {}).items()]:
            found.setdefault(name, set()).update(pieces(value))
        for text in node.get("matchers") or ():
            try:
                for one in read_matchers(text):
                    found.setdefault(one.name.removeprefix(LABEL_PREFIX), set()).update(pieces(one.value))
            except BadMatcherError:
                continue
    return found


def pieces(value: str) -> Iterator[str]:
    """A value itself, and what an expression may match."""
    yield value
    for part in value.strip("^$").removeprefix("(").removesuffix(")").split("|"):
        yield part.replace(".*", "some").replace(".+", "some").replace("\\", "")


def some_labels(known: Mapping[str, set[str]], dice: Random) -> Labels:
    """Labels of an alert: mostly values that the file knows, beside others."""
    labels = {"alertname": dice.choice(("Watchdog", "InfoInhibitor", "HighLoad"))}
    for name, values in known.items():
        if dice.random() < 0.6:
            labels[name] = dice.choice((*sorted(values), *sorted(values), "other", "", "critical"))
    return {name: value for name, value in labels.items() if value}


def tried(file: Path, dice: Random) -> Tried:
    """Compare one file."""
    theirs, result = written(file), Tried(file.stem)
    try:
        made = migrate(file)
    except ConfigurationError as error:
        result.refused = str(error.problems[0])
        if ask_amtool(asked(file, theirs), {"a": "b"}) != "refused":
            result.differences.append(f"the relay alone refuses it: {error}")
        return result
    result.notes, result.routes = len(made.notes), sum(1 for _ in nodes(theirs["route"]))
    own = file.with_suffix(".relay.yaml")
    own.write_text(made.text(), encoding="utf-8")
    rules = compile_rules(load(own, FORMATS).settings)
    rooms, other = rooms_of_receivers(theirs, made), asked(file, theirs)
    sets = [some_labels(values_in(theirs["route"]), dice) for _ in range(SETS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda labels: ask_amtool(other, labels), sets))
    for labels, answer in zip(sets, answers, strict=True):
        ours = own_room(rules, labels)
        if answer == "refused" or ours != ",".join(room for one in answer.split(",") for room in rooms[one]):
            result.differences.append(f"{labels}: the relay tells {ours!r}, Alertmanager {answer!r}")
    return result


def asked(file: Path, theirs: Mapping[str, Any]) -> Path:
    """The file that amtool reads: without integrations that its version or its checks do not take."""
    if ask_amtool(file, {"a": "b"}) != "refused":
        return file
    plain = file.with_suffix(".plain.yml")
    names = [{"name": one["name"]} for one in theirs.get("receivers", ()) if isinstance(one, dict) and "name" in one]
    sections = {key: theirs[key] for key in ("route", "time_intervals", "mute_time_intervals") if key in theirs}
    sections["route"] = with_booleans(theirs["route"])
    plain.write_text(yaml.safe_dump({**sections, "receivers": names}, allow_unicode=True), encoding="utf-8")
    return plain


def with_booleans(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route whose `continue` is a boolean, as amtool wants it."""
    made = {**route, "routes": [with_booleans(child) for child in route.get("routes") or ()]}
    return {**made, "continue": yaml.safe_load(route["continue"])} if "continue" in route else made


# Random configurations


def some_file(place: Path, dice: Random) -> Path:
    """A configuration with matchers in all forms, and unquoted scalars."""
    names = ["null", "d", "yes", "0123", "a b", "noc"]
    lines = ["receivers:", *(f"- name: {quote(name)}" for name in names)]
    lines += ["  webex_configs: [{room_id: R, http_config: {authorization: {credentials: x}}}]"]
    lines += ["route:", f"  receiver: {quote(dice.choice(names))}", *some_routes(dice, names, "  ", 1)]
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def some_routes(dice: Random, names: list[str], indent: str, depth: int) -> list[str]:
    """The children of a route, as lines."""
    lines = [f"{indent}routes:"]
    for _ in range(dice.randint(1, 5)):
        lines.append(f"{indent}- continue: {dice.choice(('true', 'yes', 'off', 'false', 'n', 'y', '~'))}")
        if dice.random() < 0.8:
            lines.append(f"{indent}  receiver: {quote(dice.choice(names))}")
        if dice.random() < 0.5:
            lines += [f"{indent}  match:", f"{indent}    {dice.choice(LABELS)}: {scalar(dice)}"]
        if dice.random() < 0.3:
            lines += [f"{indent}  match_re:", f"{indent}    {dice.choice(LABELS)}: {quote(dice.choice(PATTERNS))}"]
        if dice.random() < 0.5:
            lines += [
                f"{indent}  matchers:",
                *(f"{indent}  - {quote(text)}" for text in some_matchers(dice) or ["a=b"]),
            ]
        if depth < 3 and dice.random() < 0.4:
            lines += some_routes(dice, names, indent + "  ", depth + 1)
    return lines


def scalar(dice: Random) -> str:
    """A value as it may stand in a file."""
    return dice.choice(PLAIN) if dice.random() < 0.5 else quote(dice.choice(VALUES))


def quote(text: str) -> str:
    """A text between quotes."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10_000).strip()


def main() -> int:
    """Compare all files; 1 where one differs."""
    reader = argparse.ArgumentParser(description="Imported configurations beside Alertmanager itself.")
    reader.add_argument("files", nargs="*", type=Path)
    reader.add_argument("--seed", type=int, default=None, help="to repeat a run")
    options = reader.parse_args()
    seed = Random().randrange(1_000_000) if options.seed is None else options.seed
    print(f"--seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, file in enumerate(options.files):
            copy = Path(folder) / f"{file.stem}.{number}.yml"
            copy.write_bytes(file.read_bytes())
            files.append(copy)
        dice = Random(seed)
        files = files or [some_file(Path(folder) / f"random{number}.yml", dice) for number in range(CONFIGURATIONS)]
        results = [tried(file, dice) for file in files]
    print(f"{'file':42}{'routes':>8}{'sets':>6}{'notes':>7}{'different':>11}")
    for one in results:
        sets = 0 if one.refused else SETS
        print(f"{one.name:42}{one.routes:>8}{sets:>6}{one.notes:>7}{len(one.differences):>11}  {one.refused[:120]}")
    differences = [f"{one.name}: {difference}" for one in results for difference in one.differences]
    print("\n".join(differences[:SHOWN]))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
