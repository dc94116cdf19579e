"""Chat templates as a hostile file could bring them: without end, without measure, or reaching for what is not theirs."""

from __future__ import annotations

_NEST = "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
_BIG = "{% set b = 'x' * 1000000 %}"

ENDLESS = {
    "loops": "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "membership": "{% set a = range(100000)|map('string')|list %}{{ a|select('in', a)|list|length }}",
    "macro": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
}
"""Refused only when their time is up."""

HUGE = {
    "range": "{% for a in range(10**12) %}{% endfor %}",
    "repeat": "{{ 'x' * 10**10 }}",
    "repeat-twice": "{{ 'x' * 9999999 * 9999 }}",
    "power": "{{ 10 ** 10 ** 8 }}",
    "powers": "{% set n=namespace(x=3) %}{% for i in range(60) %}{% set n.x = n.x ** 60 %}{% endfor %}{{ n.x }}",
    "squares": "{% set n=namespace(x=3) %}{% for i in range(90000) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "double-join": "{% set n=namespace(x='xx') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "double-plus": "{% set n=namespace(x='xx') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "double-list": "{% set n=namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "nested": f"{_NEST}{{{{ n.x }}}}",
    "nested-json": f"{_NEST}{{{{ n.x|tojson }}}}",
    "nested-string": f"{_NEST}{{{{ n.x|string }}}}",
    "nested-join": f"{_NEST}{{{{ 'a' ~ n.x }}}}",
    "nested-format": f"{_NEST}{{{{ '%s'|format(n.x) }}}}",
    "center": "{{ 'x'|center(2000000000) }}",
    "ljust": "{{ 'x'.ljust(2000000000) }}",
    "percent-width": "{{ '%02000000000d' % 1 }}",
    "format-width": "{{ '{:>2000000000}'.format(1) }}",
    "format-width-argument": "{{ '{:>{w}}'.format(1, w=2000000000) }}",
    "star-width": "{{ '%*d' % (2000000000, 1) }}",
    "format-many": f"{_BIG}{{{{ ('{{0}}'*100000).format(b) }}}}",
    "percent-many": f"{_BIG}{{{{ ('%s'*100000) % ((b,)*100000) }}}}",
    "replace": f"{_BIG}{{{{ b.replace('x', b) }}}}",
    "replace-filter": f"{_BIG}{{{{ b|replace('x', b) }}}}",
    "join": f"{_BIG}{{{{ ([b]*100000)|join }}}}",
    "join-method": f"{_BIG}{{{{ b.join(['a']*100000) }}}}",
    "indent": "{{ ('\n'*1000000)|indent(1000000) }}",
    "json-indent": "{{ ([1]*100000)|tojson(indent=999999) }}",
    "tabs": "{{ ('\t'*1000000).expandtabs(999999) }}",
    "translate": "{{ ('a'*1000000).translate({97: 'b'*1000000}) }}",
    "map": "{{ range(100000)|map('string')|map('center', 900000)|list|length }}",
    "output": "{% for i in range(90000) %}{{ 'x' * 100000 }}{% endfor %}",
    "block": "{% set x %}{% for i in range(90000) %}{{ 'x' * 100000 }}{% endfor %}{% endset %}{{ x }}",
    "bytes": "{{ (1).to_bytes(2000000000, 'big') }}",
}
"""Would take gigabytes."""

NESTED = {
    "macro": "{% macro f(n) %}{{ f(n-1) }}{% endmacro %}{{ f(900) }}",
    "loop": "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "brackets": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "lists": "{{ " + "[" * 3000 + "]" * 3000 + " }}",
    "ifs": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
}

REACHING = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "raise": "{{ raise_exception.__globals__.os }}",
    "format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "extends": "{% extends '/etc/passwd' %}",
    "append": "{% set a = [1] %}{{ a.append(2) }}",
    "lipsum": "{{ lipsum(1000) }}",
    "unfinished": "{{",
    "no-loop": "{% for %}",
}
