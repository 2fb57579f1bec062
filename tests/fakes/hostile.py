"""Templates that would never end, or take all memory, if their work were not bounded."""

from __future__ import annotations

DOUBLED = "".join("{% set x = x ~ x %}" for _ in range(60))
NESTED = "".join("{% set x = [x, x] %}" for _ in range(60))
TUPLES = "".join("{% set x = (x, x) %}{% set y = (y, y) %}" for _ in range(60))
LARGE = "{% set large = event.body %}"
PAIR = "{% set x = [{'a': large ~ 1}, {'a': large ~ 2}] * 999 %}"
TWENTY = "|replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 8
MANY = "{% for a in range(99999) %}"

HOSTILE: dict[str, str] = {
    "loops": MANY + MANY + "{% endfor %}{% endfor %}",
    "loops that skip": MANY + "{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "loops over text": "{% for a in event.body %}{% for b in event.body %}{% endfor %}{% endfor %}",
    "loops over labels": MANY + "{% for n, v in labels.items() %}{% endfor %}{% endfor %}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "recursive loop over much": "{% for x in [1] recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "macro calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "macro calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n-1) ~ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "macro with a loop": "{% macro m() %}" + MANY + "{% endfor %}{% endmacro %}" + MANY + "{{ m() }}{% endfor %}",
    "macro with large defaults": "{% macro m(a=["
    + "1," * 3_000
    + "]) %}{% endmacro %}"
    + MANY
    + "{{ m() }}{% endfor %}",
    "call block": "{% macro m() %}{{ caller() }}{% endmacro %}"
    + MANY
    + "{% call m() %}"
    + MANY
    + "{% endfor %}{% endcall %}{% endfor %}",
    "block calls itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "text in a set block": "{% set x %}" + MANY + "long text " * 5_000 + "{% endfor %}{% endset %}",
    "values in a set block": "{% set x %}" + MANY + "{{ event.body }}{% endfor %}{% endset %}",
    "filter block": "{% filter upper %}" + MANY + "{{ event.body }}{% endfor %}{% endfilter %}",
    "multiplied text": "{{ 'a' * 3000000000 }}",
    "multiplied by text": "{{ 3000000000 * 'a' }}",
    "multiplied markdown": "{{ sign * 3000000000 }}",
    "multiplied list": "{{ ([1] * 10**9)|length }}",
    "multiplied list of text": "{{ [event.body] * 99999 }}",
    "power": "{{ 10 ** (10 ** 8) }}",
    "large numbers multiplied": "{{ 2 ** 9999 * 2 ** 9999 }}",
    "doubled text": "{% set x = title %}" + DOUBLED + "{{ x }}",
    "doubled list": "{% set x = [1] %}" + NESTED + "{{ x }}",
    "doubled keys": "{% set x = 1 %}" + TUPLES.replace("{% set y = (y, y) %}", "") + "{{ {x: 1}|length }}",
    "doubled keys looked up": "{% set x = 1 %}" + TUPLES.replace("{% set y = (y, y) %}", "") + "{{ labels[x] }}",
    "doubled and compared": "{% set x = 1 %}{% set y = 1 %}" + TUPLES + "{{ x == y }}",
    "doubled and tested": "{% set x = 1 %}{% set y = 1 %}" + TUPLES + "{{ x is eq(y) }}",
    "doubled and joined": "{% set x = [1] %}" + NESTED + "{{ x|join(',') }}",
    "percent width": "{{ '%1000000000s' % title }}",
    "percent star": "{{ '%*s' % (1000000000, title) }}",
    "percent precision": "{{ '%.1000000000f' % 1.5 }}",
    "percent by name": "{{ ('%(a)s' * 999999) % {'a': event.body} }}",
    "format width": "{{ '{:1000000000}'.format(title) }}",
    "format width of an argument": "{{ '{:{w}}'.format(title, w=10**9) }}",
    "format width of text": "{{ '{:{w}}'.format(title, w='1000000000') }}",
    "format the same again": "{{ ('{0}' * 99999).format(event.body) }}",
    "format map": "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "format of markdown": "{{ (sign ~ '{:1000000000}').format(title) }}",
    "center": "{{ 'x'.center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "rjust": "{{ 'x'.rjust(10**9) }}",
    "zfill": "{{ '1'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "replace method": "{{ event.body.replace('', event.body) }}",
    "replace filter": "{{ event.body|replace('', event.body) }}",
    "replace filter by name": "{{ event.body|replace(new=event.body, old='') }}",
    "join method": "{{ event.body.join(event.body) }}",
    "join filter": "{{ event.body|join(event.body) }}",
    "trim filter": LARGE + MANY + "{{ large|trim(large) }}{% endfor %}",
    "strip method": LARGE + MANY + "{{ large.strip(large) }}{% endfor %}",
    "search from the end": LARGE + "{{ (large * 20).rfind('b' ~ large * 10) }}",
    "split": LARGE + MANY + "{% set x = large.split('a') %}{% endfor %}",
    "batch": "{{ range(9)|batch(1000000000, 'x')|list }}",
    "slice": "{{ range(9)|slice(1000000000)|list }}",
    "round down": "{{ 1|round(-1000000000) }}",
    "round with a method": "{{ 1|round(10000000, 'floor') }}",
    "sum of lists": "{% set x = [range(999)|list] * 999 %}{{ x|sum(start=[])|length }}",
    "sum again and again": MANY + "{% set x = range(99999)|sum %}{% endfor %}",
    "sort": LARGE + "{% set x = [large ~ 1, large ~ 2] * 999 %}{{ x|sort|length }}",
    "sort by attribute": LARGE + PAIR + "{{ x|sort(attribute='a')|length }}",
    "groupby": LARGE + PAIR + "{{ x|groupby('a')|length }}",
    "unique": LARGE + MANY + "{{ [large ~ a, large]|unique|length }}{% endfor %}",
    "map": MANY + "{% set x = range(99999)|map('upper') %}{% endfor %}",
    "select": MANY + "{% set x = range(99999)|select('odd') %}{% endfor %}",
    "selectattr": MANY + "{% set x = [event] * 999 %}{% set y = x|selectattr('body', 'in', [1]) %}{% endfor %}",
    "list": MANY + "{% set x = event.body|list %}{% endfor %}",
    "dictsort": MANY + "{% set x = labels|dictsort %}{% endfor %}",
    "upper": MANY + "{% set x = event.body|upper %}{% endfor %}",
    "title and count": MANY + "{% set x = event.body|title|wordcount %}{% endfor %}",
    "one line": MANY + "{% set x = event.body|oneline %}{% endfor %}",
    "fenced": MANY + "{% set x = event.body|fenced %}{% endfor %}",
    "code": MANY + "{% set x = event.body|code %}{% endfor %}",
    "number of text": "{{ ('f' * 1000000)|int(0, 16) }}",
    "compared": MANY + "{% if event.body == event.body ~ 'x' %}{% endif %}{% endfor %}",
    "in text": MANY + "{% if 'zz' in event.body %}{% endif %}{% endfor %}",
    "in list": "{% set x = range(9999)|list %}{% for a in x if a in x %}{% endfor %}",
    "slices": MANY + "{% set x = event.body[::-1] %}{% endfor %}",
    "loop changed": MANY + "{% set x = loop.changed(event.body ~ 'x') %}{% endfor %}",
    "set of keys": MANY + "{% set x = labels.keys() - labels.keys() %}{% endfor %}",
    "event as text": "{% set x %}" + MANY + "{{ event }}{% endfor %}{% endset %}",
    "folded": "{{ 'a'" + TWENTY + " }}",
    "folded in an option": "{% autoescape 'a'" + TWENTY + " %}{{ 'a'" + TWENTY + " }}{% endautoescape %}",
}
"""By what they do. Each is to be rendered for an event with a long body and many labels."""
