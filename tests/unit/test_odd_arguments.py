"""What a hurried user types: every command answers in a sentence, or in one JSON document, and never with a trace."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.cli.main import main
from fmstudio.project import Project
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, simple_table

WORKS = """
rows data --offset 99999999999999999999999
rows data --offset 999999999999
rows data --where 1
rows data --find "\\""
rows data --find -
rows data --find "a OR"
rows data --find text:
rows data --columns ,,
rows data --limit 0
rate data none 0
tag data 0 --remove nope
delete-rows data 0 0
versions data --name 1=
diff data 1 1
diff data 1 --limit 0
sql "select 1 as a, 1 as a"
sql "select * from data limit 0"
sql "select 'nan'::double, [1.5, 'inf'::double], map {date '2024-01-01': 1}, interval 1 day, '1'::blob, {'a': null}"
transform data compute --set column=y "template={{text}} !" --preview --limit 1
transform data split --set "method=near duplicates" --preview --limit 2
transform
stats data
stats data messages
lineage data
lineage data --row 0
gc --dry-run
disk
datasets
history data
"""

MISTAKES = """
rows data --limit -1
rows data --limit abc
rows data --version 99
rows data --version 0
rows data --where "text like '%"
rows data --where ";"
rows data --where "1=1; drop table x"
rows data --where "select"
rows data --where text
rows data --sort "n; select 1"
rows "" --limit 1
rows data --dropped --version 7
rows data --rejects --version 7
rows Data2
edit data -1 text=x
edit data 0 =x
edit data 0 text
edit data 0 messages=notjson
edit data 0 row_id=5
edit data 99999999999999999999 text=x
tag data 0 --add ""
rate data great 0
delete-rows data --where nope
delete-rows data 99
delete-rows data
split-row data 0 text --at ""
restore data 0
restore data -5
branch data 1 ""
branch data 99 b
rename data ""
history data --go-to -7
versions data --name =x
versions data --name 99=x
diff data x
diff data nope@1
diff data 1 2
diff data 1 --html /nowhere/x.html
diff data 1 --limit -4
sql ""
sql select
sql "drop table data"
sql "select * from data; select 1"
sql "select * from read_csv('/etc/passwd')"
sql "select * from nodata"
sql "copy data to '/tmp/x'"
sql "attach '/tmp/x.db'"
sql "select 1" --limit 0
sql "select 1" --save ""
transform data nope
transform data compute
transform data compute --set x
transform data compute --set column=y expression=nope --preview
transform data compute --set column=row_id expression=1 --preview
transform data split --set method=time --preview
transform data split --set train=-1 --preview
transform data split --set train=0 validation=0 test=0 --preview
transform data sample --set share=2 --preview
transform data join --set dataset=nope key=x --preview
transform data merge --set datasets= --preview
transform data replace --set find=( regex=true --preview
transform data replace --set find= --preview
transform data filter --set where=1= --preview
transform data filter --set "where=n = 1" --preview --limit -3
transform nodata filter --set where=1=1 --preview
lineage data --row -1
lineage x --kind file
stats data nope
stats data --version 9
gc --keep-undo -1
export data --to ""
export data --to /nowhere/x.jsonl
export data --to x.nope
export nodata --to x.jsonl
export data --to x.jsonl --columns [text
rows data --columns "[1]"
export data --to x.jsonl --with all
export data --to x.csv --set delimiter
undo nodata
commit nodata
discard nodata
delete nodata
add-rows data /dev/null
add-rows data /
recipe run /nowhere.yaml --dataset data
recipe run /etc/passwd --dataset data
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        leave_out_packaged_models(patch)
        folder = tmp_path_factory.mktemp("odd") / "project"
        project = Project.create(folder)
        make_dataset(project, "data", simple_table(20))
        project.close()
        yield folder


def run(line: str, folder: Path) -> int:
    """Give the exit code, also of arguments that argparse refuses."""
    try:
        return main([*shlex.split(line), "--project", str(folder), "--json"])
    except SystemExit as error:
        return int(error.code or 0)


@pytest.mark.parametrize("line", WORKS.strip().splitlines())
def test_one_json_document(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line, folder) == 0, capsys.readouterr().err
    said = capsys.readouterr()

    def no_number(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads(said.out, parse_constant=no_number)


@pytest.mark.parametrize("line", MISTAKES.strip().splitlines())
def test_one_sentence(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line, folder) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err and "should not" not in said.err
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("fmstudio") and len(last) < 700, last
