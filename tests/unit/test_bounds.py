"""Templates of any kind end soon, and those that stay within the bound write what Jinja2 writes."""

from __future__ import annotations

import time
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.app.trial.trying import try_all
from relay.core.delivery import IncidentView, Summary
from relay.core.markdown import plain_text
from relay.templates.bounds import MOST_STEPS, BoundError
from relay.templates.cards import FILTERS, CardRenderer
from relay.templates.environment import MarkdownEnvironment
from relay.templates.rendering import MOST_TEXTS, TemplateRenderer, compile_template
from relay.templates.views import View
from tests.fakes.hostile import HOSTILE
from tests.fakes.made import event

NOW = 1_772_331_000.0
SOON = 2.0
"""Seconds of processor time. The worst template takes 0.3 s on a small server; unbounded ones take minutes."""
STOPPED = (f"takes over {MOST_STEPS:,} steps", "50 deep", "over 10,000 bits")
LARGE = event(
    body="<@all> líne *a*\n" * 3_600,
    labels={f"label{n}": "ü" * 2_000 for n in range(100)},
    occurred_at=NOW,
    received_at=NOW,
)
SMALL = event(
    title="port eth1/1 down",
    body="first line\nsecond line",
    labels={"site": "ams1", "pod": "7", "rack": "b"},
    occurred_at=NOW,
    received_at=NOW,
)


def rendered(text: str, failures: list[str], about: Summary | None = None) -> list[str]:
    """The message of a large event, or a group, by a template; and the processor time is short."""
    began = time.process_time()
    renderer = TemplateRenderer({"t": text}, UTC, lambda _, __, error: failures.append(error))
    texts = renderer.render(LARGE, "t", room="noc", summary=about, now=NOW)
    for one in texts:
        plain_text(one)
    assert time.process_time() - began < SOON
    return texts


def never(template: str, event_id: str, error: str) -> None:
    raise AssertionError((template, event_id, error))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_template_that_never_ends_is_stopped_and_the_built_in_message_goes_out(text: str) -> None:
    failures: list[str] = []
    texts = rendered(f"first line\n{text}\n{{{{ title }}}}", failures)
    assert texts == TemplateRenderer({}, UTC, never).render(LARGE, None, room="noc", summary=None, now=NOW)
    (said,) = failures
    assert said.startswith("line ")
    assert any(words in said for words in STOPPED)


def fits_cards(text: str) -> bool:
    """Cards have fewer filters."""
    return {one.name for one in MarkdownEnvironment().parse(text).find_all(nodes.Filter)} <= {*FILTERS, "json"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [name for name, text in HOSTILE.items() if fits_cards(text)])
def test_a_card_that_never_ends_is_stopped_and_left_out(name: str) -> None:
    failures: list[str] = []
    began = time.process_time()
    cards = CardRenderer({"c": HOSTILE[name]}, lambda *_: "c", UTC, lambda _, __, error: failures.append(error))
    assert cards.card("", LARGE, room="noc", incident=None, now=NOW) is None
    assert time.process_time() - began < SOON
    (said,) = failures
    assert any(words in said for words in STOPPED)


@pytest.mark.timeout(60)
def test_whoever_tries_templates_names_the_line_and_what_to_do() -> None:
    text = "{{ title }}\n{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
    began = time.process_time()
    template, card = try_all({"t": text}, {"c.json.j2": text}, UTC)
    assert time.process_time() - began < SOON
    assert template.message == (
        "fails on a sample firing event: line 2: takes over 500,000 steps of work (loop turns, calls, and texts by "
        "length); loop over less, or shorten texts first, as by truncate or [:500]"
    )
    assert card.message.startswith("on a sample firing event: line 2: takes over 500,000 steps")


@pytest.mark.parametrize(
    "method", ["'a'.encode()", "(1).to_bytes(99)", "{}.fromkeys('ab')", "'a'.translate({})", "''.maketrans({})"]
)
def test_a_method_whose_cost_nobody_knows_is_refused(method: str) -> None:
    failures: list[str] = []
    rendered(f"{{{{ {method} }}}}", failures)
    assert "is unsafe" in failures[0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "`" * 60_000,
        "`x" * 20_000,
        "x".join("`" * n for n in range(1, 340)),
        "[" * 60_000,
        "[x](" * 15_000,
        "```a\n" * 12_000,
        "<@person" * 8_000,
        "\\" * 60_000,
        "*" * 60_000,
        " " * 60_000 + "x",
        "&amp" * 15_000,
    ],
    ids=lambda text: f"{text[:6]!r}",
)
def test_whatever_a_template_writes_is_parted_and_taken_down_soon(text: str) -> None:
    rendered("{% raw %}x " + text + "{% endraw %}", [])


def test_a_template_that_parts_its_text_again_and_again_fails() -> None:
    failures: list[str] = []
    assert "major" not in rendered("{% for a in range(9999) %}a{{ thread }}{% endfor %}", failures)
    assert failures == [f"expected at most {MOST_TEXTS} messages, found 9,999; use {{{{ thread }}}} less often"]


def test_all_labels_of_a_thousand_incidents_are_within_the_bound() -> None:
    one = event(labels={f"label{n}": "a value of some length" for n in range(10)}, occurred_at=NOW, received_at=NOW)
    group = Summary(tuple(IncidentView(one, "firing", NOW) for _ in range(1_000)), 1_000, 0, NOW, {})
    failures: list[str] = []
    text = """{% set worst = incidents|selectattr('severity', 'equalto', 'major')|list %}
{{ worst|length }} of {{ incidents|length }} by {{ incidents|groupby('source')|map('first')|join(', ') }}
{% for one in incidents|sort(attribute='title') %}
{% for name, value in one.labels|dictsort if name != 'label3' and value %}
{% set ignored = name ~ '=' ~ value|truncate(20) %}
{% endfor %}
{% endfor %}"""
    texts = rendered(text, failures, group)
    assert failures == []
    assert texts == ["1000 of 1000 by fabric"]


PLAIN = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, optimized=False
)
"""Jinja2's own sandbox, which bounds nothing."""


class Unescaped(MarkdownEnvironment):
    """Ours, with texts as they are."""

    def literal(self, value: object) -> str:
        return str(value)


def written(environment: MarkdownEnvironment | ImmutableSandboxedEnvironment, text: str) -> str:
    """What a template writes for a small event, or the kind of its error."""
    names = View(SMALL, "noc", None, NOW, UTC).names()
    if isinstance(environment, MarkdownEnvironment):
        environment.begin()
    try:
        return environment.from_string(text).render({**names, "numbers": [3, 1, 2]})
    except Exception as error:  # noqa: BLE001 - whatever it raises is compared
        return type(error).__name__


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a,b'.split(',')|join('-') }} {{ 'a'.join(['x', 'y']) }} {{ 'a b'.title().center(9).replace('a', 'b') }}",
        "{{ '%5.1f|%-3s|' % (3.14, 'x') }} {{ '%(a)s' % {'a': 1} }} {{ '{:>5}|{a!r}'.format(1, a='b') }}",
        "{{ '{a}'.format_map({'a': 1}) }} {{ 2 ** 10 * 3 - 1 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ -3 + 1.5 }} {{ 'ab' * 3 }}",
        "{{ [1] + [2] * 2 }} {{ (1, 2)[::-1] }} {{ title[2:5] }} {{ 'x' ~ 1 ~ none }} {{ {'a': 1, 2: 3}['a'] }}",
        "{{ numbers|sort|join }}{{ numbers|sum }} {{ numbers|sum(start=4) }}{{ numbers|max }}",
        "{{ numbers|reverse|list }} {{ numbers|map('int')|list }} {{ numbers|select('odd')|list }}",
        "{{ numbers|batch(2, 'x')|list }} {{ numbers|selectattr('real', 'gt', 1)|list|length }}",
        "{{ numbers|slice(2)|list }} {{ [[1], [2]]|sum(start=[]) }} {{ [{'a': 1}, {'a': 2}]|sum('a') }}",
        "{{ labels|dictsort }} {{ labels|dictsort(by='value') }} {{ labels|items|list }} {{ labels|length }}",
        "{{ ['b', 'A', 'a']|unique|list }} {{ ['b', 'A']|sort(case_sensitive=true) }} {{ title|replace('t', 'T', 1) }}",
        "{% for g in [{'a': 1, 'b': 2}, {'a': 1}]|groupby('a') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}",
        "{% for a in numbers if a > 1 %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{{ a }}{% else %}-{% endfor %}",
        "{% for a in [[1, [2]]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}",
        "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call m(3) %}x{% endcall %}",
        "{% set x %}a{{ title }}{% endset %}{{ x|upper }}{% filter lower %}AB{% endfilter %}",
        "{% with y = 1 %}{{ y }}{% endwith %}{{ 'a' if 1 == 1.0 else 'b' }}{{ [1, [2]] == [1, [2]] }}",
        "{% block a %}in{% endblock %}{{ self.a() }} {{ 3 in numbers and 'x' not in title and 1 < 2 <= 2 }}",
        "{{ 1.55|round(1) }} {{ '12'|int + 1 }} {{ 'ff'|int(base=16) }} {{ title|truncate(8) }} {{ ' a '|trim }}",
        "{{ title|wordcount }} {{ event.title == title }} {{ labels.site.upper() }} {{ labels.get('none', 'd') }}",
    ],
)
def test_what_is_within_the_bound_is_what_jinja2_writes(text: str) -> None:
    assert written(Unescaped(), text) == written(PLAIN, text)


VALUES = st.sampled_from(
    [
        "event.body",
        "title",
        "labels",
        "numbers",
        "x",
        "sign",
        "3",
        "70000",
        "'ab'",
        "1.5",
        "range(999)",
        "range(99999)",
        "incidents",
        "0",
    ]
)
SIZES = st.sampled_from(["1", "9", "999", "99999", "10**9", "x", "event.body"])
WAYS = st.sampled_from(
    [
        "({0} * {1})",
        "({0} ** {1})",
        "({0} ~ {0})",
        "({0} + {0})",
        "({0} % {1})",
        "({0} - {1})",
        "{0}|list",
        "{0}|upper",
        "{0}|join({1})",
        "{0}|replace({1}, {0})",
        "{0}|batch({1}, 1)|list",
        "{0}|slice({1})|list",
        "{0}|sort|list",
        "{0}|sum",
        "{0}|trim({1})",
        "{0}|map('upper')|list",
        "{0}|round({1})",
        "{0}|int",
        "{0}|dictsort",
        "{0}|groupby(0)|list",
        "{0}|oneline",
        "{0}|fenced",
        "{0}|truncate({1})",
        "{0}|middle({1})",
        "{0}|max",
        "{0}|length",
        "{0}.center({1})",
        "{0}.replace('', {1})",
        "{0}.split({1})",
        "{0}.join({0})",
        "{0}.zfill({1})",
        "{0}.items()",
        "'{{:{{}}}}'.format({0}, {1})",
        "('%{{}}s'.format({1}) % {0})",
        "{0}[::2]",
        "[{0}, {0}]",
        "({0}, {0})",
        "{{1: {0}}}",
        "({0} in {0})",
        "({0} == {1})",
        "({0} if {1} else {0})",
        "m({0})",
        "{0}.rsplit({1})",
        "{0}.strip({1})",
        "{0}[{1}]",
    ]
)
EXPRESSIONS = st.recursive(VALUES, lambda inner: st.builds(lambda way, a, b: way.format(a, b), WAYS, inner, SIZES))
BLOCKS = st.sampled_from(
    [
        "{{% for x in {0} %}}{1}{{% endfor %}}",
        "{{% for x in {0} if {0} %}}{1}{{% else %}}a{{% endfor %}}",
        "{{% set x = {0} %}}{1}",
        "{{% set x %}}{1}{{% endset %}}{{{{ {0} }}}}",
        "{{% if {0} %}}{1}{{% endif %}}",
        "{{% filter upper %}}{1}{{% endfilter %}}",
        "{{% with x = {0} %}}{1}{{% endwith %}}",
        "{{% set x = (x, {0}) %}}{1}{1}",
        "{{% for x in [{0}] recursive %}}{{{{ loop([x, x]) }}}}{1}{{% endfor %}}",
        "{1}{1}",
        "{{{{ {0} }}}}{1}",
        "{{% call m({0}) %}}{1}{{% endcall %}}",
        "{{% for x in {0} %}}{{% set y = {0} %}}{{% endfor %}}{1}",
    ]
)
TEMPLATES = st.recursive(
    EXPRESSIONS.map("{{{{ {} }}}}".format),
    lambda inner: st.builds(lambda block, a, body: block.format(a, body), BLOCKS, EXPRESSIONS, inner),
    max_leaves=8,
).map(
    lambda text: (
        "{% set x = title %}{% macro m(a) %}{{ a }}{% if a %}{{ m(a) }}{% endif %}{{ caller() }}{% endmacro %}" + text
    )
)


@pytest.mark.timeout(300)
@given(TEMPLATES)
def test_any_template_ends_within_the_bound(text: str) -> None:
    environment = MarkdownEnvironment()
    names = {**View(LARGE, "noc", None, NOW, UTC).names(), "numbers": [3, 1, 2], "incidents": [{"title": "a"}] * 1_000}
    began = time.process_time()
    failed: Exception | None = None
    try:
        template = compile_template(environment, "t", text)
        TemplateRenderer.render_strictly(template, names)
    except Exception as error:  # noqa: BLE001 - it may fail in any way
        failed = error
    assert time.process_time() - began < SOON
    assert not isinstance(failed, MemoryError)
    assert isinstance(failed, BoundError) == (environment.left < 0 or "deep" in str(failed) or "bits" in str(failed))
