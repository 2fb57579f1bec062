"""What counts as an echo of what the relay has sent, and who is braked for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.echo import MEMORY, MEMORY_SECONDS, QUIET, ROUNDS, Echoes
from relay.core.event import SEVERITIES, Event
from relay.core.own import OwnAccounts
from tests.fakes.made import event

NOW = 1_800_000_000.0
TITLES = st.lists(
    st.sampled_from(["disk", "full", "node", "7", "is", "down", "over", "90", "ö", "link"]), min_size=1, max_size=12
).map(" ".join)


def shown(one: Event) -> str:
    """A message as the relay's own template has it, as plain text."""
    return f"⚪ {one.severity.upper()} · {one.title}\n{one.body}\n{one.source} · 02:10 UTC"


def rounds(echoes: Echoes, bridge: Callable[[str], dict[str, str]], render: Callable[[Event], str] = shown) -> int:
    """How many messages one "hello" becomes, where a bridge makes events of messages."""
    one, sent = event(id="e0", status="notice", title="hello", severity="info"), 0
    while not echoes.holds(one, NOW + sent) and sent < 100:
        echoes.sent(one, render(one), NOW + sent)
        sent += 1
        one = event(id=f"e{sent}", status="notice", severity="info", **bridge(render(one)))
    return sent


BRIDGES: dict[str, Callable[[str], dict[str, str]]] = {
    "whole": lambda text: {"title": text},
    "first line": lambda text: {"title": text.partition("\n")[0]},
    "body": lambda text: {"title": "New message in NOC", "body": text},
    "wrapped": lambda text: {"title": f"relay-bot wrote: {text} (by the bridge)"},
    "markdown": lambda text: {"title": "**" + text.replace(" · ", "** · ")},
    "small letters": lambda text: {"title": text.lower()},
    "one line": lambda text: {"title": " ".join(text.split())},
}
TEMPLATES: dict[str, Callable[[Event], str]] = {
    "built-in": shown,
    "title first": lambda one: f"{one.title} (from {one.source})",
    "header": lambda one: f"ALERT\n{one.title}",
    "title and time": lambda one: f"{one.title}\n{one.source} · 02:10 UTC",
}


@pytest.mark.parametrize("bridge", BRIDGES)
def test_a_hello_that_comes_back_is_a_few_messages_whatever_the_bridge_does(bridge: str) -> None:
    assert rounds(Echoes(), BRIDGES[bridge]) == ROUNDS


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_hello_that_comes_back_is_a_few_messages_whatever_the_template(template: str) -> None:
    assert rounds(Echoes(), BRIDGES["whole"], TEMPLATES[template]) <= ROUNDS + 1


def test_a_source_that_is_braked_stays_so_until_its_echoes_end() -> None:
    echoes = Echoes()
    assert rounds(echoes, BRIDGES["whole"]) == ROUNDS
    assert "fabric" in echoes.braked
    echoes.sent(event(id="other", title="link lost"), "🟠 MAJOR · link lost", NOW + 10.0)
    assert echoes.holds(event(id="echo", title="🟠 MAJOR · link lost"), NOW + 11.0), "at its first round"
    assert not echoes.holds(event(id="new", title="power lost"), NOW + 12.0), "all else is told"
    assert not echoes.holds(event(id="end", status="resolved", title="🟠 MAJOR · link lost"), NOW + 12.0)
    assert not echoes.release(NOW + 11.0 + QUIET - 1.0)
    assert echoes.release(NOW + 11.0 + QUIET) == ["fabric"]
    assert "fabric" not in echoes.braked


def test_who_quotes_a_message_is_not_braked() -> None:
    echoes = Echoes()
    one = event(id="e0", title="link lost")
    for number in range(50):
        echoes.sent(one, shown(one), NOW)
        quote = event(id=f"q{number}", status="notice", title=f"> {shown(one)}\nI look into it ({number})")
        assert not echoes.holds(quote, NOW)
        echoes.sent(quote, shown(quote), NOW)
    assert "fabric" not in echoes.braked


def test_a_message_is_forgotten_after_a_while_and_when_many_have_followed() -> None:
    for later, others in ((MEMORY_SECONDS + 1.0, 0), (0.0, MEMORY)):
        echoes = Echoes()
        echoes.brake("fabric", NOW)
        one = event(title="hello")
        echoes.sent(one, shown(one), NOW)
        for number in range(others):
            other = event(id=f"o{number}", title=f"number {number}")
            echoes.sent(other, shown(other), NOW)
        assert not echoes.holds(event(id="late", title=shown(one)), NOW + later)
        assert len(echoes._sent) <= MEMORY
        assert sum(echoes._firsts.values()) == len(echoes._sent)


@given(
    st.lists(
        st.tuples(TITLES, st.sampled_from(SEVERITIES), st.sampled_from(["firing", "resolved", "notice"]), TITLES),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from(sorted(TEMPLATES)),
)
def test_alerts_that_do_not_repeat_messages_are_never_held_however_alike_they_are(
    history: list[tuple[str, str, str, str]], template: str
) -> None:
    """Alerts that come again, flap, or contain one another; each is sent as it comes, as in a storm."""
    echoes = Echoes()
    for number, (title, severity, status, body) in enumerate(history):
        one = event(id=f"e{number}", title=title, severity=severity, status=status, body=body)
        assert not echoes.holds(one, NOW + number / 1_000)
        echoes.sent(one, TEMPLATES[template](one), NOW + number / 1_000)
    assert "fabric" not in echoes.braked


def test_a_thousand_alerts_a_second_are_never_held() -> None:
    echoes = Echoes()
    for number in range(5_000):
        one = event(id=f"e{number}", title=f"MAJOR port {number} is down", key=f"k{number}")
        assert not echoes.holds(one, NOW + number / 1_000)
        echoes.sent(one, shown(one), NOW + number / 1_000)
        flap = event(id=f"f{number}", title="flapping", status=("firing", "resolved")[number % 2])
        assert not echoes.holds(flap, NOW + number / 1_000)
        echoes.sent(flap, shown(flap), NOW + number / 1_000)
    assert "fabric" not in echoes.braked


ID, OTHER_CLUSTER = (
    "Y2lzY29zcGFyazovL3VzL1BFT1BMRS82NmE0ZTAyYS0wMWRiLTRhNzEtOGI0ZS0yNGQ5NWQ0MWM3ZjA",
    "Y2lzY29zcGFyazovL3VybjpURUFNOmV1LWNlbnRyYWwtMV9rL1BFT1BMRS82NmE0ZTAyYS0wMWRiLTRhNzEtOGI0ZS0yNGQ5NWQ0MWM3ZjA",
)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (ID, True),
        (OTHER_CLUSTER, True),
        (ID + "==", True),
        ("66a4e02a-01db-4a71-8b4e-24d95d41c7f0", True),
        ("relay@webex.bot", True),
        ("Relay@Webex.Bot", True),
        ("ida@example.net", False),
        ("", False),
        ("p1", False),
        (ID[:-4], False),
    ],
)
def test_an_account_is_known_by_all_forms_of_its_names(name: str, own: bool) -> None:
    accounts = OwnAccounts()
    accounts.add((ID, "relay@webex.bot", ""))
    assert accounts.has((name,)) == own
    assert accounts.has(("someone", name)) == own
    assert not accounts.has(())


@given(st.text(max_size=200))
def test_any_text_may_be_a_name(name: str) -> None:
    accounts = OwnAccounts()
    assert not accounts.has((name,))
    accounts.add((name,))
    assert accounts.has((name,)) == bool(name)
