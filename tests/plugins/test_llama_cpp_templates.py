"""No chat template, however hostile, hangs the engine, fills its memory or reaches out of its sandbox."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from fmstudio.api import Message, UserError
from fmstudio.core.paths import first_party_plugins
from tests.helpers import ROOT
from tests.hostile_templates import ENDLESS, HUGE, NESTED, REACHING
from tests.tiny_llama import CHATML

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp import template_limits
from fmstudio_llama_cpp.template import ChatTemplate

MESSAGES: list[Message] = [{"role": "user", "content": "Hello"}]


def render(source: str) -> str:
    return ChatTemplate(source, bos="", eos="").render(MESSAGES)


@pytest.mark.parametrize("name", [*HUGE, *NESTED, *REACHING])
def test_a_hostile_template_is_refused_with_a_reason(name: str) -> None:
    source = {**HUGE, **NESTED, **REACHING}[name]
    with pytest.raises(UserError, match="chat template") as caught:
        render(source)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_without_end_is_stopped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_limits, "MOST_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"more than 0\.2 seconds"):
        render(ENDLESS[name])
    assert render(CHATML).startswith("<|im_start|>user\nHello")


def test_the_budget_is_anew_for_each_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_limits, "MOST_SECONDS", 0.2)
    template = ChatTemplate("{% for i in range(10000) %}{{ messages[0].content }}{% endfor %}", bos="", eos="")
    for _ in range(40):
        assert len(template.render(MESSAGES)) == 50_000


def test_what_templates_do_is_still_done() -> None:
    source = (
        "{% for m in messages if m.role == 'user' %}{{ loop.index ~ '/' ~ loop.length }}{{ m.content|trim|upper }}"
        "{% endfor %}{% macro box(x) %}[{{ x }}]{% endmacro %}{{ box({'a': [1, 'ü']}|tojson) }}{{ '%05.1f'|format(2) }}"
        "{{ ['a', 'b']|join(', ') }}{{ 'a-b'.replace('-', '+') }}{{ ('x' * 3) ~ 2 ** 3 }}{{ 'ab'.split('a')|last }}"
        "{% set ns = namespace(n=0) %}{% for x in range(3) %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}"
        "{% generation %}{{ messages|map(attribute='role')|join }}{% endgeneration %}{{ '{:>4}'.format('r') }}"
    )
    assert render(source) == '1/1HELLO[{"a": [1, "ü"]}]002.0a, ba+bxxx8b3user   r'


def test_ten_thousand_turns_are_well_within_the_bounds() -> None:
    turns: list[Message] = [{"role": "user", "content": "What is your name? " * 10}] * 10_000
    assert len(ChatTemplate(CHATML, bos="", eos="").render(turns)) > 2_000_000


def test_native_code_that_does_not_return_ends_the_process_soon() -> None:
    """Two lists nested sixty times: one comparison in C, beyond any budget."""
    nest = "".join(
        f"{{% set n = namespace(x=[{i}]) %}}{{% for i in range(60) %}}{{% set n.x = [n.x, n.x] %}}{{% endfor %}}"
        f"{{% set {name} = n.x %}}"
        for i, name in ((1, "a"), (1, "b"))
    )
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(first_party_plugins() / 'fmstudio_llama_cpp')!r}]\n"
        "from fmstudio_llama_cpp import template_limits\n"
        "template_limits.HARD_SECONDS = 1\n"
        "from fmstudio_llama_cpp.template import ChatTemplate\n"
        f"ChatTemplate({nest + '{{ a == b }}'!r}, bos='', eos='').render([{{'role': 'user', 'content': 'x'}}])\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Timeout" in done.stderr, done.stderr
    assert time.monotonic() - start < 20
