"""The pages of the documentation: they can be walked through, say what is true, and say it in short sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import PurePosixPath
from typing import Any, get_args

import jsonschema
import pytest
import typer.main
import yaml

from relay.cli import app
from relay.core.delivery import DeliveryState, IncidentView, Summary
from relay.core.incident import IncidentState
from relay.formats.contract import Format
from relay.settings.schema import schema_text
from relay.templates.views import GroupView, View
from tests.fakes.made import EVENT
from tests.fakes.pages import (
    PAGES,
    ROOT,
    anchors_of,
    code_blocks,
    count_words,
    links_of,
    read_page,
    sentences_of,
    without_code,
)

SCHEMA = json.loads(schema_text())
RELAY: Any = typer.main.get_command(app)
LONGEST_README = 150
LONGEST_SENTENCE = 30
LONGEST_PICTURE = 120_000


def target_of(page: str, link: str) -> tuple[str, str]:
    """Return the path from the root and the anchor of a relative link."""
    path, _, anchor = link.partition("#")
    parts: list[str] = [] if path else [page]
    for part in (*PurePosixPath(page).parent.parts, *PurePosixPath(path).parts) if path else ():
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts), anchor


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_the_pages_leads_somewhere(page: str) -> None:
    broken = []
    for link in links_of(read_page(page)):
        if link.startswith(("http://", "https://")):
            continue
        target, anchor = target_of(page, link)
        found = (ROOT / target).is_file()
        if not found or (anchor and anchor not in anchors_of(read_page(target))):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = {"README.md"}, ["README.md"]
    while left:
        page = left.pop()
        found = {target_of(page, link)[0] for link in links_of(read_page(page)) if "://" not in link}
        new = {target for target in found if target in PAGES} - reached
        reached |= new
        left += new
    assert reached == set(PAGES)


def test_the_readme_is_short() -> None:
    assert len(read_page("README.md").splitlines()) <= LONGEST_README


def test_every_module_of_the_pipeline_is_described() -> None:
    page = read_page("relay/README.md")
    modules = {path.stem for path in (ROOT / "relay/pipeline").glob("*.py")} - {"__init__", "pipeline"}
    described = {
        name for row in re.findall(r"^\| (`[a-z`, ]+`) \|", page, re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert modules - described == set()


def test_the_glossary_is_in_the_order_of_its_words() -> None:
    words = re.findall(r"^\| ([^|]+) \|", read_page("relay/README.md").split("| word | means |")[1], re.MULTILINE)
    assert words[1:] == sorted(set(words[1:]), key=str.lower)


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_long(page: str) -> None:
    long = [one for one in sentences_of(read_page(page)) if count_words(one) > LONGEST_SENTENCE]
    assert long == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_its_name_and_what_it_is_for(page: str) -> None:
    first, blank, *rest = without_code(read_page(page)).splitlines()
    assert first.startswith("# ")
    assert blank == ""
    assert re.match(r"[A-Z*]", rest[0])


def test_the_pictures_are_small_and_described() -> None:
    found = re.findall(r"!\[(.*?)\]\((.+?)\)", read_page("README.md"))
    assert found
    for description, picture in found:
        assert len(description.split()) > 5
        assert (ROOT / picture).stat().st_size < LONGEST_PICTURE


def test_sentences_are_told_apart() -> None:
    text = (
        "# A heading\n\nOne, *two*. `a b. c` three:\n\n```sh\nno words\n```\n\n* four\n* [five](x.md)\n\n| a |\n|-|\n"
    )
    assert list(sentences_of(text)) == ["One, *two*.", "code three:", "four", "five"]


def test_anchors_are_those_of_github() -> None:
    text = "## What `relay` can't do: now\n\n## [A link](x.md)\n\n```\n# none\n```\n\n## A link\n"
    assert anchors_of(text) == {"what-relay-cant-do-now", "a-link", "a-link-1"}


def settings_in(page: str) -> Iterator[tuple[str, Any]]:
    """Yield what a page's YAML says of keys of the configuration; other YAML (Prometheus's, a test's) has others."""
    for block in code_blocks(read_page(page), "yaml"):
        for document in yaml.safe_load_all(block):
            if isinstance(document, dict) and set(document) <= {*SCHEMA["properties"]}:
                yield from document.items()


@pytest.mark.parametrize("page", PAGES)
def test_every_configuration_that_is_shown_fits_the_schema(page: str) -> None:
    for key, value in settings_in(page):
        schema = {**SCHEMA["properties"][key], "$defs": SCHEMA["$defs"]}
        jsonschema.Draft202012Validator(schema).validate(value)  # `validate` would check the schema each time: seconds


def test_the_pages_show_configurations() -> None:
    assert {page for page in PAGES if list(settings_in(page))} >= {
        "README.md",
        "config/README.md",
        "config/sources.md",
        "config/rooms.md",
        "config/routing.md",
        "config/templates.md",
        "config/trying.md",
        "relay/formats/README.md",
    }


def commands_in(page: str) -> Iterator[list[str]]:
    """Yield the commands of the relay that a page shows, in blocks for a shell and within sentences."""
    text = read_page(page)
    for line in "\n".join(code_blocks(text, "sh")).replace("\\\n", " ").splitlines():
        if found := re.match(r"(?:[A-Z_]+=\S+ )?(?:\S*/bin/)?relay ([a-z-].*)", line.partition(" #")[0]):
            yield found[1].split()
    for code in re.findall(r"`relay ((?:[a-z-]+ ?)+[^`]*)`", without_code(text)):
        yield code.split()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_shown_exists(page: str) -> None:
    for words in commands_in(page):
        command = RELAY
        left = [*words]
        while hasattr(command, "commands") and left and left[0] in command.commands:
            command = command.commands[left.pop(0)]
        if words == ["--install-completion"]:
            continue
        assert not hasattr(command, "commands"), words
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        shown = {re.split("[=|\\]]", word.strip("[]`,."))[0] for word in left if word.strip("[").startswith("-")}
        assert shown - {"-"} <= known, words


def states_in(title: str) -> set[str]:
    """Return the states in the diagram below a heading of the architecture page."""
    _, _, behind = read_page("relay/README.md").partition(f"\n### {title}\n")
    (diagram, *_) = code_blocks(behind, "mermaid")
    arrows = re.findall(r"^\s*(\S+) --> (\S+?)(?::|$)", diagram, re.MULTILINE)
    return {state for arrow in arrows for state in arrow} - {"[*]"}


@pytest.mark.parametrize(
    ("title", "states"),
    [
        ("A delivery", set(get_args(DeliveryState))),
        ("A message", {"pending", "standing"}),
        ("An incident", set(get_args(IncidentState))),
    ],
)
def test_the_diagrams_have_the_states_of_the_code(title: str, states: set[str]) -> None:
    assert states_in(title) == states


def test_the_fields_of_a_format_are_described() -> None:
    page = read_page("relay/formats/README.md")
    assert [name for name in Format.__struct_fields__ if f"| `{name}` |" not in page] == []


def test_the_variables_of_templates_are_described() -> None:
    group = Summary((IncidentView(EVENT, "firing", 1_000.0),), firing=1, ended=0, started_at=1_000.0)
    views = (View(EVENT, "noc", None, 1_000.0, UTC), GroupView(group, "noc", 1_000.0, UTC))
    variables = {name for view in views for name in view.names()}
    described = set(
        re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", without_code(read_page("config/templates.md")))))
    )
    assert variables - described == set()


def test_what_to_alert_on_names_every_rule() -> None:
    rules = yaml.safe_load((ROOT / "config" / "prometheus-rules.yaml").read_text(encoding="utf-8"))
    page = read_page("systemd/operating.md")
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "relay" / "decisions"
    assert set(links_of(read_page("relay/decisions/README.md"))) == {path.name for path in folder.glob("0*.md")}
