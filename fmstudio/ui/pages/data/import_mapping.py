"""The form of the import preview that says how columns are read: kind, targets, rules, and who is who."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from fmstudio.core.schemas import CANONICAL_ROLES, NEEDS, OPTIONS, TARGETS
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import clear, column, holder, label, row

KINDS = {
    "conversation": "Conversation",
    "prompt_completion": "Prompt and completion",
    "text": "Text",
    "preference": "Preference pairs",
    "unpaired_preference": "Answers with a verdict",
    "image_caption": "Pictures with captions",
    "table": "Table (columns as they are)",
}
HINTS = {
    "messages": "A list of messages, each with who speaks and what",
    "system": "Put first, as a system message",
    "tools": "Definitions of tools, kept as JSON",
    "prompt": "The question; messages or text",
    "completion": "The answer",
    "input": "Joined to the prompt, after an empty line",
    "history": "What was said before: pairs of a question and its answer, or messages",
    "chosen": "The better answer",
    "rejected": "The worse answer",
    "answers": "A list of answers in each row",
    "scores": "A list of numbers, high is good",
    "ranks": "A list of numbers, 1 is best",
    "answer_a": "The first of two answers",
    "answer_b": "The second of two answers",
    "winner": "Which of the two won",
    "label": "Good or bad: yes or no, thumbs, or a rating",
}
FORMS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "conversation": (("A list of messages", ("messages",)), ("A question and its answer", ("prompt", "completion"))),
    "preference": (
        ("Chosen and rejected", ("chosen", "rejected")),
        ("Two answers and a winner", ("answer_a", "answer_b", "winner")),
        ("A list of answers", ("answers",)),
    ),
    "unpaired_preference": (
        ("A question and its answer", ("prompt", "completion", "label")),
        ("A conversation that ends with the answer", ("messages", "label")),
    ),
}
"""Kind → what its rows can be made of: title and the targets that are needed."""


class MappingForm(QWidget):
    """Kind, columns, rules and roles; every change is announced with the whole mapping.

    Signals:
        changed: (mapping) the user chose otherwise and the mapping is complete.
        incomplete: (text) what is still to be chosen.
    """

    changed = Signal(dict)
    incomplete = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.kind = QComboBox()
        self.kind.setAccessibleName(self.tr("Kind of data"))
        for kind, title in KINDS.items():
            self.kind.addItem(title, kind)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.made_of = QComboBox()
        self.made_of.setAccessibleName(self.tr("Made of"))
        self.made_of.currentIndexChanged.connect(self._on_form)
        self.targets: dict[str, QComboBox] = {}
        self.options: dict[str, QComboBox | QLineEdit] = {}
        self.roles: dict[str, QComboBox] = {}
        self._who: dict[str, QLabel] = {}
        self._found: dict[str, Any] = {}
        self._is_filling = False
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(16)
        self._form.setVerticalSpacing(6)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow(self.tr("Kind"), self.kind)
        self._form.addRow(self.tr("Made of"), self.made_of)
        self._roles = column(gap=4)
        self.setLayout(column(self._form, self._roles, gap=10))

    def show_mapping(self, found: dict[str, Any]) -> None:
        """Show what `inspect_file` found. Boxes that are there stay: one of them may have the keyboard."""
        self._found = found
        self._is_filling = True
        self.kind.setCurrentIndex(self.kind.findData(found["kind"]))
        self._show_forms(found["kind"], found["mapping"]["columns"])
        self._show_targets(found["kind"], found["mapping"]["columns"])
        self._show_options(found["options"], found["mapping"].get("options") or {})
        self._show_roles(found["roles"])
        self._order_tabs()
        self._is_filling = False

    def _order_tabs(self) -> None:
        """Tab goes from top to bottom, whichever box was made last."""
        order = [self.kind, self.made_of, *self.targets.values(), *self.options.values(), *self.roles.values()]
        for one, following in pairwise(order):
            QWidget.setTabOrder(one, following)

    def _show_forms(self, kind: str, columns: dict[str, str]) -> None:
        """Offer what the rows of a kind can be made of, and choose what these columns are."""
        forms = FORMS.get(kind, ())
        _offer(self.made_of, [(title, title) for title, _ in forms])
        used = next((title for title, need in forms if set(need) <= set(columns)), "")
        self.made_of.setCurrentIndex(max(0, self.made_of.findData(used)))
        self._form.setRowVisible(self.made_of, bool(forms))

    @property
    def _needed(self) -> tuple[str, ...]:
        """The targets that what is chosen needs."""
        kind: Any = self.kind.currentData()
        return dict(FORMS.get(kind, ())).get(str(self.made_of.currentData())) or NEEDS[kind][0]

    def _show_targets(self, kind: str, columns: dict[str, str]) -> None:
        wanted = _shown_targets(kind, self._needed)
        self._drop(self.targets, wanted)
        choices = [("–", ""), *((name, name) for name in self._found.get("raw_columns", []))]
        for place, target in enumerate(wanted):
            if target not in self.targets:
                self.targets[target] = self._made_target(target)
                self._form.insertRow(2 + place, target.replace("_", " "), self.targets[target])
            _offer(self.targets[target], choices)
            _choose(self.targets[target], columns.get(target, ""))
        self.targets = {target: self.targets[target] for target in wanted}

    def _made_target(self, target: str) -> QComboBox:
        combo = NarrowCombo(10)
        combo.setAccessibleName(f"Column for {target}")
        combo.setToolTip(HINTS.get(target, ""))
        combo.currentIndexChanged.connect(self._on_change)
        return combo

    def _show_options(self, names: list[str], values: dict[str, str]) -> None:
        self._drop(self.options, names)
        for name in names:
            if name not in self.options:
                control = self.options[name] = self._made_option(name)
                self._form.addRow({"pairs": "pairs", "winner": "number", "good_from": "good from"}[name], control)
            control = self.options[name]
            if isinstance(control, QComboBox):
                _choose(control, values.get(name, ""))
            elif not control.hasFocus():  # what is being typed is newer than what was found
                control.setText(values.get(name, "1"))

    def _made_option(self, name: str) -> QComboBox | QLineEdit:
        title, choices = OPTIONS[name]
        control: QComboBox | QLineEdit
        if choices:
            control = QComboBox()
            _offer(control, [(text, value) for value, text in choices])
            control.currentIndexChanged.connect(self._on_change)
        else:
            control = QLineEdit()
            control.editingFinished.connect(self._on_change)
        control.setAccessibleName(title)
        control.setToolTip(title)
        return control

    def _drop(self, controls: dict[str, Any], wanted: list[str]) -> None:
        for name in [name for name in controls if name not in wanted]:
            self._form.removeRow(controls.pop(name))

    def _show_roles(self, roles: list[dict[str, Any]]) -> None:
        names = [] if all(role["is_usual"] for role in roles) else [role["name"] for role in roles]
        if names != list(self.roles):
            self._make_roles(names)
        for role in roles if names else ():
            combo, who = self.roles[role["name"]], self._who[role["name"]]
            if not role["role"] and combo.findData("") < 0:
                combo.insertItem(0, self.tr("not known"), "")
            _choose(combo, role["role"])
            who.setText(f"{role['name']}  ({role['count']:,})")
            restyle(who, role="" if role["role"] else "danger")

    def _make_roles(self, names: list[str]) -> None:
        clear(self._roles)
        self.roles, self._who = {}, {}
        if names:
            self._roles.addWidget(label(self.tr("Who speaks"), "strong"))
        for name in names:
            combo = self.roles[name] = QComboBox()
            combo.setAccessibleName(f"Role “{name}” is")
            _offer(combo, [(role, role) for role in CANONICAL_ROLES])
            combo.currentIndexChanged.connect(self._on_change)
            self._who[name] = label()
            line = row(self._who[name], combo, gap=8)
            line.setStretch(0, 1)
            self._roles.addWidget(holder(line))

    @Slot()
    def _on_kind(self) -> None:
        if self._is_filling or not self._found:
            return
        kind = str(self.kind.currentData())
        readings = (one["mapping"] for one in self._found.get("detections", []) if one["mapping"]["kind"] == kind)
        known = next(readings, None)
        columns = known["columns"] if known else self._found["mapping"]["columns"]
        self._is_filling = True
        self._show_forms(kind, columns)
        self._is_filling = False
        self._show_form(columns)

    @Slot()
    def _on_form(self) -> None:
        if not self._is_filling and self._found:
            self._show_form({target: str(combo.currentData() or "") for target, combo in self.targets.items()})

    def _show_form(self, columns: dict[str, str]) -> None:
        """Show the boxes of the chosen kind and form; what these columns say of them stays."""
        kind = str(self.kind.currentData())
        self._is_filling = True
        self._show_options([], {})
        self._show_targets(kind, {t: c for t, c in columns.items() if t in TARGETS[kind]})  # type: ignore[index]
        self._order_tabs()
        self._is_filling = False
        self._on_change()

    @Slot()
    def _on_change(self) -> None:
        if self._is_filling:
            return
        kind: Any = self.kind.currentData()
        columns = {target: str(combo.currentData()) for target, combo in self.targets.items() if combo.currentData()}
        missing = [target for target in self._needed if target not in columns]
        if missing:
            self.incomplete.emit(f"Choose a column for {' and '.join(name.replace('_', ' ') for name in missing)}.")
            return
        roles = {n.strip().lower(): c.currentData() for n, c in self.roles.items() if c.currentData() not in ("", n)}
        self.changed.emit({"kind": kind, "columns": columns, "roles": roles, "options": self._options()})

    def _options(self) -> dict[str, str]:
        values = {}
        for name, control in self.options.items():
            values[name] = str(control.currentData()) if isinstance(control, QComboBox) else control.text().strip()
        return {name: value for name, value in values.items() if value}


def _offer(combo: QComboBox, choices: list[tuple[str, str]]) -> None:
    """Fill a box with these choices (text, value), unless it has them."""
    if [combo.itemData(place) for place in range(combo.count())] != [value for _, value in choices]:
        combo.clear()
        for text, value in choices:
            combo.addItem(text, value)


def _choose(combo: QComboBox, value: str) -> None:
    combo.setCurrentIndex(max(0, combo.findData(value)))


def _shown_targets(kind: str, used: tuple[str, ...]) -> list[str]:
    """The targets of a kind that belong together: those its form needs, and those that may go with them."""
    everything = TARGETS[kind]  # type: ignore[index]
    alternative = {target for need in NEEDS[kind] for target in need} - set(used)  # type: ignore[index]
    alternative |= {"history", "input"} if "messages" in used else set()  # what belongs to a prompt
    keep = {"scores", "ranks"} if "answers" in used else set()
    return [target for target in everything if target not in alternative or target in keep]
