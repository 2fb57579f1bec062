"""Cards from the configuration: they go with the text, and hold what an event says as text alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.app.trial.checks import adapter_problems
from relay.formats import FORMATS
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.settings.load import load
from relay.settings.problems import ConfigurationError
from relay.templates.cards import CardRenderer
from tests.fakes.running import ROOM, configuration, running

CARD = """{"type": "AdaptiveCard", "version": "1.3", "body": [
  {"type": "TextBlock", "weight": "Bolder", "text": "{{ sign }} {{ word }} {{ title }}"},
  {"type": "FactSet", "facts": [
    {% for name, value in labels|dictsort %}{"title": {{ name|json }}, "value": {{ value|json }}},{% endfor %}
    {"title": "source", "value": "{{ source }}"}]}
]}"""
FIRING = {
    "title": 'port "eth1/1" down',
    "severity": "major",
    "status": "firing",
    "key": "p1",
    "labels": {"site": "ams1"},
}


def nothing(*_: object) -> None:
    """Nobody is told."""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "card.json.j2"
    file.write_text(CARD, encoding="utf-8")
    return file


def with_card(card: Path) -> dict[str, Any]:
    return {"rooms": {"noc": {**ROOM, "card": {"file": str(card)}}}}


async def test_a_card_goes_with_the_text_and_what_changes_is_a_reply(
    tmp_path: Path, sandbox: Sandbox, card: Path
) -> None:
    async with running(tmp_path, sandbox, **with_card(card)) as relay:
        await relay.post(FIRING)
        await relay.until(lambda: len(relay.messages()) == 1)
        (first,) = relay.messages()
        assert first.text.startswith('🟠 MAJOR · port "eth1/1" down')
        assert first.card is not None
        assert first.card["body"][0]["text"] == '🟠 MAJOR port "eth1/1" down'
        assert first.card["body"][1]["facts"] == [
            {"title": "site", "value": "ams1"},
            {"title": "source", "value": "lab"},
        ]
        await relay.post({**FIRING, "severity": "critical"})
        await relay.until(lambda: len(relay.messages()) == 2)
        await relay.post({**FIRING, "status": "resolved"})
        await relay.until(lambda: len(relay.messages()) == 3)
        await relay.until_state("done", 3)
        _, worse, over = relay.messages()
        assert (worse.parent, over.parent, first.edits) == (first.id, first.id, 0)
        assert worse.text.startswith("🔴 CRITICAL")
        assert over.text.startswith("✅ resolved")


async def test_a_card_that_is_refused_or_fails_costs_no_alert(tmp_path: Path, sandbox: Sandbox, card: Path) -> None:
    card.write_text(CARD.replace("{{ title }}", "{{ nonesuch }}"), encoding="utf-8")  # noqa: ASYNC240 - a test
    async with running(tmp_path, sandbox, **with_card(card)) as relay:
        await relay.post(FIRING)
        await relay.until(lambda: len(relay.messages()) == 1)
        assert relay.messages()[0].card is None
        assert "nonesuch" in relay.log.read_text(encoding="utf-8")
    card.write_text(CARD, encoding="utf-8")  # noqa: ASYNC240 - a test
    async with running(tmp_path, sandbox, **with_card(card)) as relay:
        sandbox.state.faults = [Fault(status=400, count=1)]
        await relay.post({**FIRING, "key": "p2"})
        await relay.until(lambda: len(relay.messages()) == 2)
        assert relay.messages()[1].card is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_an_event_says_stays_text_in_its_place(title: str, value: str) -> None:
    names: dict[str, object] = {"sign": "x", "word": "y", "title": title, "labels": {"a": value}, "source": title}
    renderer = CardRenderer({"c": CARD}, lambda *_: None, None, nothing)  # type: ignore[arg-type]
    made = renderer.render_by_name("c", names)
    assert [element["type"] for element in made["body"]] == ["TextBlock", "FactSet"]
    assert "](" not in json.dumps(made, ensure_ascii=False)
    assert len(made["body"][1]["facts"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected a card in JSON, found other text"),
        ('{"type": "Container"}', "is no card"),
        ('{"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "x"}]}', "expected a version that Webex shows"),
        ('{"type": "AdaptiveCard", "version": "1.3", "body": [{}]}', 'body[0]: expected an element with a "type"'),
        ("{{ nonesuch }}", "'nonesuch' is undefined"),
        ("{% if %}", "Expected an expression"),
        ("{% for n in range(99999) %}xxxxxxxxxx{% endfor %}", "expected a card of at most 65,536 characters"),
    ],
)
def test_check_tries_cards_on_samples(sandbox_free: Callable[..., Path], card: Path, text: str, said: str) -> None:
    card.write_text(text, encoding="utf-8")
    loaded = load(sandbox_free(card), FORMATS)
    (problem,) = adapter_problems(loaded)
    assert problem.path == "rooms.noc.card.file"
    assert said in problem.message


def test_a_card_that_is_not_there_is_an_error_in_its_place(tmp_path: Path, sandbox_free: Callable[..., Path]) -> None:
    with pytest.raises(ConfigurationError, match=r"rooms\.noc\.card\.file: .*nothing\.json: can't be read"):
        load(sandbox_free(tmp_path / "nothing.json"), FORMATS)


@pytest.fixture
def sandbox_free(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration with a card, without a sandbox behind it."""

    def write(card: Path) -> Path:
        class Nowhere:
            address = "http://127.0.0.1:1"

        file = tmp_path / "relay.yaml"
        values = configuration(Nowhere(), tmp_path, **with_card(card))  # type: ignore[arg-type]
        file.write_text(json.dumps(values), encoding="utf-8")
        return file

    return write
