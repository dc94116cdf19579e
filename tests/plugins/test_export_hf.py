"""The Hugging Face folder: `datasets` loads it, and the card says what it is and how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from fmstudio.api import DatasetFacts, UserError
from tests.plugins.export_kit import MESSAGES, chats, everything, export, turns

FACTS = DatasetFacts(
    name="Support | <b>chats</b>",
    kind="conversation",
    version=2,
    version_name="clean",
    rows=3,
    license="cc-by-4.0",
    created=1_700_000_000.0,
    sources=[{"name": "tickets|1.jsonl", "sha256": "ab12", "bytes": 4096}],
    operations=[
        {"version": 1, "operation": "Import", "rows": 5, "dropped": 0, "steps": []},
        {
            "version": 2,
            "operation": "Recipe “Clean”",
            "rows": 3,
            "dropped": 2,
            "steps": [{"operator": "exact_dedup", "params": {"scope": "row"}, "dropped": 2, "changed": 0}],
        },
    ],
    dropped=[{"version": 2, "step": 0, "operator": "exact_dedup", "reason": "same as row 1", "rows": 2}],
    rejected=1,
    edits={"cells": 4, "added": 1, "deleted": 0},
    app="FM Studio 0.1.0",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    for name in ("HF_DATASETS_CACHE", "HF_CACHE_HOME"):
        monkeypatch.setattr(datasets.config, name, tmp_path / "cache", raising=False)


def load(folder: Path) -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(folder.parent / "cache"))


def front(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])
    return found


def test_datasets_loads_the_splits(tmp_path: Path) -> None:
    batch = chats(
        turns("a", "b"), turns("c", "d"), turns("e", "f"), turns("g", "h"),
        split=["train", "validation", "train", None], language=["en", "de", "en", "xx1"],
    )  # fmt: skip
    folder, report = export(tmp_path, "hf_dataset", batch, name="support", facts=FACTS)
    found = load(folder)
    assert {name: part.num_rows for name, part in found.items()} == {"train": 2, "validation": 1, "unassigned": 1}
    assert found["train"]["messages"][1] == turns("e", "f")
    assert any("unassigned" in note for note in report.notes)
    assert sorted(p.name for p in (folder / "data").iterdir())[0] == "train-00000-of-00001.parquet"


def test_all_types_load_without_a_split_column(tmp_path: Path) -> None:
    folder, _ = export(tmp_path, "hf_dataset", everything(), name="all")
    found = load(folder)["train"]
    assert found.num_rows == 4
    assert found[0]["text"] == "plain" and found[2]["whole"] == 2**63 - 1 and found[0]["list"] == ["x", None]


def test_no_split_column_makes_one_split(tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pydict({"text": ["a", "b"], "split": ["train", "my own"]})
    folder, _ = export(tmp_path, "hf_dataset", rows, name="one", split_column="")
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert load(folder)["train"]["split"][:] == ["train", "my own"]


def test_a_card_is_written_of_dates_beyond_the_calendar(tmp_path: Path) -> None:
    far = pa.array([2**63 - 1, 0], pa.int64()).cast(pa.timestamp("us"))
    folder, _ = export(tmp_path, "hf_dataset", pa.RecordBatch.from_pydict({"at": far}), name="far")
    assert "| at | timestamp[us] | 0 | value | 1970-01-01" in (folder / "README.md").read_text()


@pytest.mark.parametrize("form", ["bytes", "struct"])
def test_pictures_load_as_pictures(tmp_path: Path, form: str) -> None:
    import io

    from datasets import Image
    from PIL import Image as Picture

    drawn = io.BytesIO()
    Picture.new("RGB", (3, 2)).save(drawn, "PNG")
    images: list[Any] = [drawn.getvalue(), None]
    if form == "struct":
        images = [{"path": "a.png", "bytes": images[0]}, None]
    batch = pa.RecordBatch.from_pydict({"image": images, "caption": ["black", "none"], "raw": [b"x", b"y"]})
    facts = DatasetFacts("Pictures", kind="image_caption", rows=2)
    folder, _ = export(tmp_path, "hf_dataset", batch, name="pictures", facts=facts)
    found = load(folder)["train"]
    assert isinstance(found.features["image"], Image) and not isinstance(found.features["raw"], Image)
    assert found[0]["image"].size == (3, 2) and found[1]["image"] is None and found[0]["caption"] == "black"


def test_a_dataset_without_rows_is_a_file_with_its_columns(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder, _ = export(tmp_path, "hf_dataset", chats(turns("a")).slice(0, 0), name="none")
    assert pq.read_table(folder / "data" / "train-00000-of-00001.parquet").column_names == ["messages"]


def test_large_splits_get_several_files(tmp_path: Path) -> None:
    import os

    batches = [pa.RecordBatch.from_pydict({"raw": [os.urandom(600_000)]}) for _ in range(5)]
    folder, _ = export(tmp_path, "hf_dataset", *batches, name="big", shard_mb=1)
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == [f"train-{i:05}-of-00003.parquet" for i in range(3)]
    assert load(folder)["train"].num_rows == 5


def test_the_front_matter_is_filled(tmp_path: Path) -> None:
    batch = chats(turns("a", "b"), turns("c", "d"), turns("e", "f"), language=["en", "de", "en"])
    matter = front(export(tmp_path, "hf_dataset", batch, name="x", facts=FACTS)[0])
    assert matter["license"] == "cc-by-4.0"
    assert matter["language"] == ["en", "de"]
    assert (matter["task_categories"], matter["size_categories"]) == (["text-generation"], ["n<1K"])
    assert matter["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert front(export(tmp_path, "hf_dataset", everything(), name="y")[0])["license"] == "unknown"


def test_the_card_tells_the_whole_story(tmp_path: Path) -> None:
    batch = chats(turns("a", "b"), turns("c", "d"), turns("e", "f"), language=["en", "de", "en"], score=[1, 5, None])
    folder, _ = export(tmp_path, "hf_dataset", batch, name="x", facts=FACTS, description="Tickets of a help desk.")
    card = (folder / "README.md").read_text("utf-8")
    body = card.split("---\n", 2)[2]
    for said in (
        "Tickets of a help desk.",
        "3 rows, version 2 (“clean”)",
        "- version 2, Recipe “Clean”: 3 rows, 2 dropped.",
        "`exact_dedup` (`scope = row`): 2 dropped",
        "| same as row 1 | 2 |",
        "1 piece of the source files could not be read.",
        "4 cells changed, 1 row added",
        "`ab12`",
        "| score | int64 | 1 (33.3%) | value | 1 | 3 | 5 |",
        "| en | 2 | 66.7% |",
    ):
        assert said in body, said
    assert "# Support \\| &lt;b>chats" in body and "tickets\\|1.jsonl" in body


def test_the_cards_metadata_is_what_the_hub_accepts(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    folder, _ = export(tmp_path, "hf_dataset", chats(turns("a"), language=["en"]), name="x", facts=FACTS)
    data = DatasetCard.load(folder / "README.md").data
    assert (data.pretty_name, data.license, data.language) == ("Support | <b>chats</b>", "cc-by-4.0", ["en"])


def test_a_column_that_names_no_splits_is_refused(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"id": [str(i) for i in range(40)], "m": pa.array([None] * 40, MESSAGES)})
    with pytest.raises(UserError, match="more than 32"):
        export(tmp_path, "hf_dataset", batch, name="x", split_column="id")
    with pytest.raises(UserError, match="no column “gone”"):
        export(tmp_path, "hf_dataset", batch, name="y", split_column="gone")
