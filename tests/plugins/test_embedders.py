"""Embedders on their real models, the embedding task with its checkpoints, and search."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmstudio.api import Cancelled, UserError
from fmstudio.api.testing import FakeContext, check_embedder
from fmstudio.core.parquet import read_batches, schema_of
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.requests import embed_query, search
from fmstudio.worker.tasks import embed, import_dataset
from tests.helpers import write_jsonl

PLUGINS = PluginManager()


def make(embedder_id: str, **params: Any) -> Any:
    kind = PLUGINS.contribution("embedder", embedder_id).load()
    return kind(kind.Params(**params))


def rows_file(tmp_path: Path, texts: list[str]) -> Path:
    ctx = FakeContext(tmp_path / "import")
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": text, "n": i} for i, text in enumerate(texts)])
    import_dataset.run({"files": [str(path)]}, ctx, PLUGINS)  # type: ignore[arg-type]
    return ctx.out_dir / "rows-00000.parquet"


def run_embed(ctx: FakeContext, path: Path, **params: Any) -> dict[str, Any]:
    return embed.run({"embedder": "wordllama", "files": [str(path)], **params}, ctx, PLUGINS)  # type: ignore[arg-type]


def ask(
    ctx: FakeContext, result: dict[str, Any], query: str, state: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    files = [str(ctx.out_dir / name) for name in result["files"]]
    request = {"embedder": "wordllama", "query": query, "embedding_files": files, **params}
    return search.handle(request, {} if state is None else state, PLUGINS, ctx)


def test_wordllama_conforms() -> None:
    check_embedder(make("wordllama"), 256)


def test_wordllama_agrees_with_the_library_itself() -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    embedder = make("wordllama")
    embedder.setup()
    folder = Path(__import__("wordllama").__file__).parent
    theirs = WordLlamaInference(
        load_file(folder / "weights" / "l2_supercat_256.safetensors")["embedding.weight"],
        Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")),
    )
    texts = ["The printer is out of paper.", "Wie geht es dir?", "x", "a longer text " * 40]
    assert np.abs(embedder.embed(texts) - theirs.embed(texts, norm=True)).max() < 1e-5


def test_wordllama_needs_little_memory_for_a_long_text() -> None:
    embedder = make("wordllama")
    embedder.setup()
    vectors = embedder.embed(["word " * 200_000, "word"])
    assert vectors.shape == (2, 256) and np.isfinite(vectors).all()


@pytest.mark.slow
def test_minilm_conforms_and_knows_meaning() -> None:
    embedder = make("minilm")
    check_embedder(embedder, 384)
    a, b, c = embedder.embed(["The cat chases the mouse.", "A kitten hunts a rodent.", "Interest rates rose again."])
    assert a @ b > a @ c + 0.3


@pytest.mark.slow
def test_minilm_in_bfloat16_says_the_same() -> None:
    texts = ["The printer is out of paper.", "My screen stays black."]
    vectors = []
    for precision in ("float32", "bfloat16"):
        embedder = make("minilm", precision=precision)
        embedder.setup()
        vectors.append(embedder.embed(texts))
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.999


def test_embed_writes_a_unit_vector_for_every_row(tmp_path: Path) -> None:
    path = rows_file(tmp_path, ["hello world", "", "something else"])
    ctx = FakeContext(tmp_path)
    result = run_embed(ctx, path)
    assert (result["rows"], result["dim"], result["embedder"]) == (3, 256, "wordllama")
    files = [ctx.out_dir / name for name in result["files"]]
    assert str(schema_of(files).field("vector").type) == "fixed_size_list<element: float>[256]"
    rows = [row for batch in read_batches(files) for row in batch.to_pylist()]
    assert [row["row_id"] for row in rows] == [0, 1, 2]
    lengths = [float(np.linalg.norm(row["vector"])) for row in rows]
    assert lengths == pytest.approx([1, 0, 1], abs=1e-5)


def test_embed_goes_on_after_a_cancel_with_the_same_result(tmp_path: Path) -> None:
    words = ["red", "green", "blue", "fast", "slow", "warm", "cold", "big", "small", "old", "new"]
    rng = random.Random(0)
    path = rows_file(tmp_path, [" ".join(rng.choices(words, k=4)) for _ in range(20_000)])
    whole = FakeContext(tmp_path / "whole")
    expected = run_embed(whole, path)
    ctx = FakeContext(tmp_path / "cut", cancel_after=25)
    with pytest.raises(Cancelled):
        run_embed(ctx, path)
    ctx.cancel_after = None
    result = run_embed(ctx, path)
    assert 0 < result["resumed_rows"] < 20_000 == result["rows"]
    assert result["files"] == expected["files"] and len(result["files"]) == 3
    for name in result["files"]:
        assert (ctx.out_dir / name).read_bytes() == (whole.out_dir / name).read_bytes()


def test_embed_of_other_rows_does_not_reuse_parts(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    first = rows_file(tmp_path / "a", ["one"])
    run_embed(ctx, first)
    result = run_embed(ctx, rows_file(tmp_path / "b", ["two", "three"]))
    assert (result["rows"], result["resumed_rows"]) == (2, 0)


def test_embed_a_column_and_an_unknown_one(tmp_path: Path) -> None:
    path = rows_file(tmp_path, ["one", "two"])
    assert run_embed(FakeContext(tmp_path), path, column="n")["rows"] == 2
    with pytest.raises(UserError, match="The columns are: text, n"):
        run_embed(FakeContext(tmp_path), path, column="m")
    with pytest.raises(UserError, match="no embedder “word2vec”"):
        run_embed(FakeContext(tmp_path), path, embedder="word2vec")


def test_search_finds_the_nearest_rows_exactly(tmp_path: Path) -> None:
    texts = [
        "my mouse is broken",
        "the stock market fell",
        "a cat on the roof",
        "my mouse is broken",
        "fresh bread recipe",
    ]
    ctx = FakeContext(tmp_path)
    result = run_embed(ctx, rows_file(tmp_path, texts))
    state: dict[str, Any] = {}
    answer = ask(ctx, result, "mouse broken", state, k=3)
    assert answer["rows"] == 5
    assert [hit["row_id"] for hit in answer["hits"]][:2] == [0, 3]  # equal rows in the order of their ids
    assert answer == ask(ctx, result, "mouse broken", state, k=3)
    vectors = embed_query.handle({"embedder": "wordllama", "texts": [*texts, "mouse broken"]}, state, PLUGINS, ctx)[
        "vectors"
    ]
    cosines = np.array(vectors[:-1]) @ np.array(vectors[-1])
    best = sorted(range(5), key=lambda i: (-round(float(cosines[i]), 6), i))
    assert [hit["row_id"] for hit in ask(ctx, result, "mouse broken", k=50)["hits"]] == best
    assert [hit["similarity"] for hit in answer["hits"]] == pytest.approx([cosines[i] for i in best[:3]], abs=1e-5)


def test_search_streams_what_does_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = FakeContext(tmp_path)
    result = run_embed(ctx, rows_file(tmp_path, [f"text number {i}" for i in range(300)]))
    kept = ask(ctx, result, "number 7")
    monkeypatch.setattr(search, "MOST_BYTES", 0)
    monkeypatch.setattr(search, "_CHUNK", 64)
    state: dict[str, Any] = {}
    assert ask(ctx, result, "number 7", state) == kept
    assert "vectors" not in state


def test_search_says_what_is_wrong(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    result = run_embed(ctx, rows_file(tmp_path, ["one"]))
    with pytest.raises(UserError, match="no words"):
        ask(ctx, result, "   ")
