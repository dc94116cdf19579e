"""`Cells`: stored edits are read block by block, and what was changed stays changed however it is read."""

from __future__ import annotations

import threading

from fmstudio.project.overlay_folding import Operation, folded
from fmstudio.project.overlay_model import EMPTY, Cells

FIRST = {0: [("n", "4\x1f99\x1e7\x1f1"), ("text", '4\x1f"four"')], 3: [("n", "12288\x1f5")]}
SECOND = {0: [("n", "4\x1f100")], 2: [("n", "9000\x1f8")], 3: [("text", '12289\x1f"new"')]}


def plain(cells: Cells) -> dict[int, dict[str, str]]:
    return {row_id: dict(row) for row_id, row in cells.items()}


def test_cells_are_read_where_they_are_asked_for() -> None:
    cells = Cells(FIRST)
    assert cells.count == 4 and bool(cells)
    assert 12288 in cells and 4 not in Cells({3: FIRST[3]}) and cells.get(5) is None
    assert dict(cells[4]) == {"n": "99", "text": '"four"'}
    assert cells.count == 4 and len(cells) == 3 and set(cells.keys()) == {4, 7, 12288}
    assert not Cells()


def test_what_is_changed_is_not_read_over() -> None:
    cells = Cells(FIRST)
    cells[4] = {"n": "0"}
    del cells[7]
    other = cells.copy()
    other[12288] = {"n": "6"}
    assert plain(cells) == {4: {"n": "0"}, 12288: {"n": "5"}} and plain(other) == {4: {"n": "0"}, 12288: {"n": "6"}}


def test_operations_fold_block_by_block() -> None:
    one = folded(EMPTY, "1", [Operation(cells=FIRST)], {})
    both = folded(one, "2", [Operation(cells=SECOND)], {(4, "n"): "98"})
    wanted = {
        4: {"n": "100", "text": '"four"'},
        7: {"n": "1"},
        9000: {"n": "8"},
        12288: {"n": "5"},
        12289: {"text": '"new"'},
    }
    assert plain(both.cells) == wanted and plain(one.cells)[4]["n"] == "99"
    back = folded(one, "3", [Operation(cells={0: [("n", "7\x1f0")]}, deleted=[4, 9001])], {(7, "n"): "0"})
    assert plain(back.cells) == {12288: {"n": "5"}} and back.deleted == {4, 9001}


def test_threads_that_read_at_once_find_the_same() -> None:
    text = "\x1e".join(f"{row}\x1f{row}" for row in range(4096))
    for _ in range(20):
        cells = Cells({0: [("n", text)]})
        start, found = threading.Barrier(4), list[bool]()

        def read(cells: Cells = cells, start: threading.Barrier = start, found: list[bool] = found) -> None:
            start.wait()
            found.append(all(cells[row]["n"] == str(row) for row in range(4096)))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 4
