"""Counters of the engine, in Prometheus' text format."""

from __future__ import annotations

from dataclasses import dataclass

from fmstudio.api import Chunk


@dataclass(slots=True)
class Counters:
    """Written by the model's thread, read by `/metrics`; numbers only grow."""

    requests: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    prompt_seconds: float = 0.0
    completion_seconds: float = 0.0

    def observe(self, last: Chunk) -> None:
        """Count a finished turn."""
        cached = last.usage.get("cached_tokens", 0)
        self.requests += 1
        self.cancelled += last.finish_reason == "cancelled"
        self.prompt_tokens += last.usage.get("prompt_tokens", 0) - cached
        self.cached_tokens += cached
        self.completion_tokens += last.usage.get("completion_tokens", 0)
        if last.speculation is not None:
            self.draft_tokens += last.speculation.drafted
            self.accepted_tokens += last.speculation.accepted
        self.prompt_seconds += last.timings.get("prompt_ms", 0.0) / 1000
        self.completion_seconds += last.timings.get("predicted_ms", 0.0) / 1000

    def text(self, *, processing: int, waiting: int) -> str:
        """Render for a scraper."""
        lines = []
        for name, kind, help_text, value in (
            ("requests_total", "counter", "Answers finished or cancelled.", self.requests),
            ("requests_cancelled_total", "counter", "Answers cancelled by their client.", self.cancelled),
            ("prompt_tokens_total", "counter", "Prompt tokens evaluated.", self.prompt_tokens),
            ("prompt_tokens_cached_total", "counter", "Prompt tokens that were still known.", self.cached_tokens),
            ("tokens_predicted_total", "counter", "Tokens generated.", self.completion_tokens),
            ("draft_tokens_total", "counter", "Tokens guessed ahead.", self.draft_tokens),
            ("draft_tokens_accepted_total", "counter", "Tokens guessed ahead that came true.", self.accepted_tokens),
            ("prompt_seconds_total", "counter", "Time spent on prompts.", self.prompt_seconds),
            ("tokens_predicted_seconds_total", "counter", "Time spent generating.", self.completion_seconds),
            ("requests_processing", "gauge", "Requests being answered.", processing),
            ("requests_deferred", "gauge", "Requests waiting for their turn.", waiting),
        ):
            full = f"fmstudio_{name}"
            lines += [f"# HELP {full} {help_text}", f"# TYPE {full} {kind}", f"{full} {value}"]
        return "\n".join(lines) + "\n"
