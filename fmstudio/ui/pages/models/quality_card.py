"""The quality report of a conversion: a few figures, and how the divergence is spread over the positions."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout

from fmstudio.ui.widgets.line_plot import LinePlot, Series
from fmstudio.ui.widgets.parts import column, label
from fmstudio.ui.widgets.words import number, plural, size


class QualityCard(QFrame):
    """What the evaluator ``gguf_quality`` measured."""

    def __init__(self, quality: dict[str, Any]) -> None:
        super().__init__()
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for place, (name, value) in enumerate(self._lines(quality)):
            grid.addWidget(label(name, "muted"), place, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(value, wrap=True, selectable=True), place, 1)
        over = self.tr("Measured against the model it was made from, on {prompts} ({positions}).").format(
            prompts=plural(int(quality["n_prompts"]), "prompt"),
            positions=plural(int(quality["n_positions"]), "position"),
        )
        self.setLayout(column(label(self.tr("Quality"), "heading"), label(over, "muted", wrap=True), grid, gap=6))
        curve = quality.get("kl_curve") or []
        if len(curve) > 1:
            points = [(100 * i / (len(curve) - 1), float(value)) for i, value in enumerate(curve)]
            self.plot = LinePlot(self.tr("Positions (%)"), self.tr("KL (nats)"), self.tr("KL divergence, sorted"))
            self.plot.set_series([Series(self.tr("KL divergence"), points)])
            self.plot.setMinimumHeight(160)
            self.layout().addWidget(self.plot)  # type: ignore[union-attr]

    def _lines(self, quality: dict[str, Any]) -> list[tuple[str, str]]:
        kl = self.tr("{mean} mean, {p95} at 95 %, {most} at most").format(
            mean=f"{quality['kl_mean']:.4f}", p95=f"{quality['kl_p95']:.4f}", most=f"{quality['kl_max']:.3f}"
        )
        speeds = (float(quality["tokens_per_second_before"]), float(quality["tokens_per_second_after"]))
        return [
            (self.tr("KL divergence"), kl),
            (self.tr("Same likeliest token"), f"{quality['top1_agreement']:.1%}"),
            (self.tr("Same greedy answers"), f"{quality['greedy_agreement']:.0%}"),
            (self.tr("Perplexity"), f"{quality['perplexity_before']:.2f} → {quality['perplexity_after']:.2f}"),
            (self.tr("Tokens/s"), f"{number(speeds[0])} → {number(speeds[1])}"),
            (self.tr("Size"), f"{size(quality['bytes_before'])} → {size(quality['bytes_after'])}"),
        ]
