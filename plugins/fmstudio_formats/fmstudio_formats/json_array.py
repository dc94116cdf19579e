"""JSON: a list of objects, an object that holds one at any depth, an object of objects, or several values one after the other.

Read piece by piece, so a large file is no problem. A broken row costs itself: it is rejected with its place, and
reading goes on at the next row; a file whose end is missing gives its whole rows.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Field, Importer, ImportReport, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_json import JsonParser
from fmstudio_formats.batches import Batcher
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.json_members import MOST_HELD, NamedRows, are_rows, columns_of
from fmstudio_formats.json_stretch import batches_of, of_split
from fmstudio_formats.json_window import Broken, TooLarge, Window
from fmstudio_formats.jsonl import read_json_lines
from fmstudio_formats.lines import BLOCK

if TYPE_CHECKING:
    import pyarrow as pa

_HELD = 16 << 20
_ONE_CONVERSATION = ("messages",)
_SPLITS = ("train", "training", "test", "validation", "valid", "val", "dev", "eval")
"""Lists of these names are all read; a column ``split`` says which a row is of."""


class JsonParams(EncodingParams):
    """Settings of the JSON importer."""

    rows: str = Field(
        default="",
        title="List",
        description="Name of the list that holds the rows, such as data or result.items; empty = the first.",
    )


class JsonImporter(Importer):
    """Reads ``.json``, also compressed."""

    Params = JsonParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, JsonParams)
        head = open_utf8(path, params.encoding, report)
        try:
            is_lines = _is_json_lines(head)
        finally:
            head.close()
        source = head.again()
        try:
            if is_lines:
                report.note("The file has one JSON object a line, so it is read as JSON Lines.")
                yield from read_json_lines(source, path, report, ctx, self)
            else:
                rows = _Rows(Window(source, path, report, ctx), params.rows)
                yield from batches_of(rows.rows(), Batcher(report))
                source.tell_damage(path, report)
        finally:
            source.close()


def _is_json_lines(source: Source) -> bool:
    """Whether the first two lines are an object each."""
    head = source.read(1 << 20).decode("utf-8", "replace")
    lines = [line for line in head.split("\n") if line.strip()][:2]
    if len(lines) < 2 or not lines[1].lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(lines[0]), dict)
    except (ValueError, RecursionError):
        return False


class _Rows:
    """The rows of one file; whole stretches of them as tables where they can be parsed at once."""

    def __init__(self, window: Window, wanted: str) -> None:
        self._window, self._wanted = window, wanted
        self._path, self._report = window.path, window.report
        self._found = ""
        self._count = 0
        self._names: set[str] = set()
        self._named: NamedRows | None = None
        self._is_over = self._is_whole_row = self._has_table = self._has_splits = False
        self._parser, self._one_by_one_until = JsonParser(), 0

    def rows(self) -> Iterator[dict[str, Any] | pa.Table]:
        """Yield each row of all values of the file."""
        while (first := self._window.peek()) and not self._is_over:
            if first not in "[{":
                self._refuse(self._count)
                return
            self._count += 1
            if first == "[":
                yield from self._elements("")
            else:
                other: dict[str, Any] = {}
                yield from self._object("", other)
                if not self._is_over or not self._found:
                    yield from self._without_list(other)
        if self._is_whole_row and self._count == 1:
            self._report.note("The file holds one object and no list of rows, so it is read as one row.")
        elif self._count > 1:
            self._report.note(f"The file holds {self._count} JSON values one after the other; all are read.")

    def _refuse(self, count: int) -> None:
        if count:
            self._window.reject("There is more text after the end of the JSON value.")
            return
        start = self._window.start()[:20]
        raise UserError(
            f"{self._path.name} is not JSON: line {self._window.line} starts with “{start}”.",
            remedy="A JSON file starts with [ or {; choose another importer.",
        )

    def _object(self, prefix: str, other: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Walk the keys of an object; stream the list of rows, remember the rest in `other`."""
        self._window.skip()
        while (char := self._window.peek()) != "}":
            try:
                yield from self._member(prefix, other)
                if self._count == 1 and self._may_be_named(prefix, other):
                    yield from self._named_rows(other)  # a file may hold millions of them
                    other.clear()
            except Broken as error:
                self._stop(f"{error} The rest of the file is not read.")
            if self._is_over:
                return
            if self._window.peek() == ",":
                self._window.skip()
            elif not char or self._window.peek() != "}":
                self._stop("The object is cut: its closing } is missing.")
                return
        self._window.skip()

    def _may_be_named(self, prefix: str, other: dict[str, Any]) -> bool:
        """Whether so many members of the outermost object were read that they can be told to be rows."""
        is_first = not prefix and not self._found and not self._wanted
        return is_first and len(other) == MOST_HELD and (self._named is not None or are_rows(other))

    def _member(self, prefix: str, other: dict[str, Any]) -> Iterator[dict[str, Any]]:
        name = str(self._window.value())
        key = prefix + name
        if self._window.peek() != ":":
            raise Broken(f"After the name “{name[:40]}” a colon is missing.")
        self._window.skip()
        first = self._window.peek()
        is_split = not prefix and not self._wanted and name.lower() in _SPLITS
        is_wanted = key == self._wanted or not (self._wanted or name in _ONE_CONVERSATION)
        is_list = (is_split and self._has_splits) if self._found else is_wanted
        if first == "[" and is_list and self._window.holds_rows():
            self._found = f"{self._found}, {key}" if self._found else key
            self._has_splits = is_split
            table = _split_form(other) if name == "data" else None
            self._has_table = table is not None
            if table:
                self._report.note("The lists in “data” are the rows, and “columns” names their cells.")
            rows = self._elements(name, table)
            yield from (of_split(name, row) for row in rows) if is_split else rows
            return
        try:
            other[name] = self._window.value(_HELD if first == "{" and not self._found else 256 << 20)
        except TooLarge:
            if first != "{" or self._found:
                raise
            yield from self._object(f"{key}.", {})  # a wrapper around rows without end

    def _without_list(self, other: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Say which lists were not read; without any list look deeper, and at last take the object as a row."""
        lists = [key for key, value in other.items() if key not in _ONE_CONVERSATION and _is_rows(value)]
        if self._found:
            if lists:
                self._report.note(f"Rows are read from “{self._found}”; not from {', '.join(lists)}.")
            if "columns" in other and self._found == "data" and not self._has_table:
                self._report.note(
                    "The names in “columns” do not fit the rows in “data”, or come after them, and are not used."
                )
            return
        # Values one after the other are rows themselves, whatever they hold.
        is_alone = self._count == 1 and not self._window.peek() and not self._wanted
        if is_alone and (self._named or are_rows(other)):
            yield from self._named_rows(other)
            return
        nested = {key: value for key, value in _nested(other, "") if not self._wanted or key == self._wanted}
        if nested:
            self._found = key = next(iter(nested))
            rest = f"; not from {', '.join(list(nested)[1:])}" if len(nested) > 1 else ""
            self._report.note(f"Rows are read from “{key}”{rest}.")
            yield from (_row(value, key.rpartition(".")[2]) for value in nested[key])
            self._found = ""  # another value of the same file may hold more
        elif self._wanted:
            raise UserError(f"{self._path.name} has no list “{self._wanted}”.", remedy=f"It has: {', '.join(other)}.")
        elif is_alone and (table := columns_of(other)) is not None:
            self._report.note(
                "The file holds one object a column, with a value for each row, so these are the columns."
            )
            yield from table
        elif other:
            self._is_whole_row = True
            yield other

    def _named_rows(self, members: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Make a row of each member of an object of objects; its name is a cell of it."""
        if self._named is None:
            self._named = NamedRows(members)
            self._report.note(
                f"The file holds an object of objects with the same names, so each is a row; "
                f"“{self._named.column}” is what it is called."
            )
        for name, value in members.items():
            if row := self._named.row(name, value):
                yield row
            else:
                self._window.reject(f"“{name[:40]}” is no object like those before it.")

    def _elements(self, key: str, table: _Table | None = None) -> Iterator[dict[str, Any] | pa.Table]:
        self._window.skip()
        while (char := self._window.peek()) != "]":
            if not char:
                self._stop("The list is cut: its closing ] is missing.")
                return
            if char == "{" and table is None and (parsed := self._parsed()) is not None:
                yield parsed
                if not self._next_element():
                    return
                continue
            try:
                value = self._window.value()
            except Broken as error:
                if not self._go_on(str(error)):
                    return
                continue
            row = (table and table.row(value)) or _row(value, key)
            if len(self._names) < 1000:
                self._names.update(row)
            yield row
            if not self._next_element():
                return
        self._window.skip()

    def _parsed(self) -> pa.Table | None:
        """Parse as many objects as there are nearby; None when they are to be read one by one, which says what is wrong."""
        place = self._window.place
        if place < self._one_by_one_until:
            return None
        stretch = self._window.objects()
        if stretch is None:
            self._one_by_one_until = place + BLOCK
            return None
        table = self._parser.parse(stretch.lines)
        if table is None or table.num_rows != stretch.rows or not table.num_columns:
            self._one_by_one_until = place + stretch.size
            return None
        self._parser.learn(stretch.lines, table)
        self._names.update(table.schema.names[:1000])
        self._window.pass_over(stretch.size)
        return table

    def _next_element(self) -> bool:
        after = self._window.peek()
        if after == ",":
            self._window.skip()
        elif after == "{":
            self._report.note(f"In line {self._window.line} a comma between two rows is missing.")
        elif not after:
            self._stop("The list is cut: its closing ] is missing.")
        elif after != "]":
            return self._go_on("Between two rows there is something that does not belong there.")
        return not self._is_over

    def _go_on(self, reason: str) -> bool:
        """Reject what is at the current place and go to the next row."""
        self._window.reject(reason)
        if self._window.find_row(self._names):
            return True
        self._is_over = True
        self._window.end()
        return False

    def _stop(self, reason: str) -> None:
        self._window.reject(reason)
        self._window.end()
        self._is_over = True


class _Table:
    """A table as pandas writes it with ``orient="split"``: names of columns and of rows, then lists of cells."""

    def __init__(self, columns: list[Any], index: list[Any]) -> None:
        self._columns = [str(name) for name in columns]
        # Rows that are only counted have no names.
        has_index = index != list(range(len(index)))
        self._named = (
            ["index_2" if "index" in self._columns else "index", *self._columns] if has_index else self._columns
        )
        self._index = iter(index) if has_index else itertools.repeat(None)

    def row(self, cells: Any) -> dict[str, Any]:
        """Name the cells of a row; empty when they are no row of this table."""
        name = next(self._index, None)
        if not isinstance(cells, list) or len(cells) != len(self._columns):
            return {}
        return dict(zip(self._named, cells if self._named is self._columns else [name, *cells], strict=True))


def _split_form(other: dict[str, Any]) -> _Table | None:
    """Make the table whose names were read before its rows; None where they are none."""
    columns, index = other.get("columns"), other.get("index", [])
    if not isinstance(columns, list) or not isinstance(index, list):
        return None
    if not all(isinstance(name, (str, int, float)) for name in columns) or len(set(map(str, columns))) < len(columns):
        return None
    return _Table(columns, index)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _nested(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, list[Any]]]:
    """Find lists of at least two objects in objects inside `value`."""
    for name, inner in value.items():
        if prefix and _is_rows(inner) and len(inner) > 1 and name not in _ONE_CONVERSATION:
            yield prefix + name, inner
        elif isinstance(inner, dict) and prefix.count(".") < 8:
            yield from _nested(inner, f"{prefix}{name}.")


def _row(value: Any, key: str) -> dict[str, Any]:
    """Make a row of an element that is no object: a list is a conversation, a string a text."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {key or "messages": value}
    return {"text" if isinstance(value, str) else "value": value}
