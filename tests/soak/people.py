"""People at the engine: each a thread that chats, stops, walks away, swaps adapters and asks odd things at random."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api import UserError
from fmstudio.jobs.sse import ChatEvent, post_chat

if TYPE_CHECKING:
    from tests.soak.ledger import Turn
    from tests.soak.world import World

_TEXT = (
    "printer river computer answer light green button wait seconds planet capital hello thanks question which where "
    "restart largest smallest instructions quickly near live name something über naïve 漢字 emoji 😀 1,234.5 {x} <|im_end|>"
)
_WORDS = _TEXT.split()
_SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 99}, "on": {"type": "boolean"}},
    "required": ["n", "on"],
}
# Wrong in a way of its own each; none may disturb anybody else.
_ODD: tuple[tuple[str, str, Any, int], ...] = (
    ("POST", "/v1/chat/completions", {"messages": []}, 400),
    ("POST", "/v1/chat/completions", {"messages": "x", "temperature": "hot"}, 400),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "grammar": "root ::= ("}, 400),
    ("POST", "/lora-adapters", [{"path": "/there/is/none.gguf"}], 400),
    ("POST", "/tokenize", {"messages": 5}, 400),
    ("POST", "/detokenize", {"tokens": [1 << 40]}, 400),
    ("GET", "/v1/nothing", None, 404),
    ("GET", "/v1/chat/completions", None, 405),
)


class Person(threading.Thread):
    """One person; ends when the world does.

    Attributes:
        busy_since: When the request under way was sent, or 0.
        doing: What it is, for the report of a hang.
    """

    def __init__(self, world: World, number: int) -> None:
        super().__init__(name=f"person-{number}", daemon=True)
        self.busy_since = 0.0
        self.doing = ""
        self._world = world
        self._random = random.Random(world.seed * 1000 + number)
        self._conversation = ""

    def run(self) -> None:
        """Live until the world is over; any error that nothing explains is a fault of the world."""
        acts: list[tuple[Callable[[], None], int]] = [
            (self._chat, 30), (self._stop_late, 14), (self._stop_early, 10), (self._walk_away, 6), (self._dawdle, 2),
            (self._leave_app, 3), (self._reference, 10), (self._schema, 4), (self._logprobs, 4), (self._whole, 4),
            (self._swap, 10), (self._control, 8), (self._odd, 5), (self._view, 3), (self._half_request, 3),
        ]  # fmt: skip
        while not self._world.is_over:
            with self._world.at_work():
                act = self._random.choices([a for a, _ in acts], [w for _, w in acts])[0]
                self._act(act)

    def _act(self, act: Callable[[], None]) -> None:
        self.doing, self.busy_since = act.__name__.strip("_"), time.monotonic()
        world, deaths = self._world, self._world.deaths
        try:
            act()
            world.count(self.doing)
        except (OSError, UserError, http.client.HTTPException) as error:
            # A death is noted before the signal is sent, so that what breaks by it is known to.
            if world.deaths == deaths and world.is_alive:
                world.fault(f"{self.doing}: {type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - every other error is a fault, and the others go on
            world.fault(f"{self.doing}: {error!r}")
        finally:
            self.busy_since = 0.0
        if not world.is_alive:
            world.wait_alive()

    # ---- conversations ---------------------------------------------------------------------------------------------

    def _ask(self) -> tuple[Turn, dict[str, Any]]:
        """Save a new question in some conversation; give the turn and the request."""
        r, world = self._random, self._world
        if not self._conversation or r.random() < 0.15:
            self._conversation = world.ledger.new_conversation("model")
        turn = world.ledger.ask(self._conversation, self._words(3, 30), {"seed": 1})
        body: dict[str, Any] = {
            "messages": world.ledger.messages(self._conversation), "max_tokens": r.randrange(1, 80),
            "temperature": r.choice([0, 0.7, 1.5]), "context_policy": "drop_oldest", "return_tokens": True,
            "conversation_id": self._conversation, "return_progress": r.random() < 0.3,
        }  # fmt: skip
        if r.random() < 0.4:
            body["lora"] = self._lora()
        return turn, body

    def _events(self, body: dict[str, Any]) -> Iterator[ChatEvent]:
        return post_chat(self._world.engine.port, self._world.engine.key, body)

    def _read(self, turn: Turn, body: dict[str, Any], until: Callable[[], bool] = lambda: False) -> None:
        """Read an answer to its end, or `until` it is stopped; a broken one is continued once the engine is back."""
        end = "broken"
        events = self._events(body)
        try:
            for event in events:
                if event.text:
                    turn.keep(event.text)
                end = event.finish_reason or end
                if end == "broken" and until():
                    end = "cancelled"
                    break
        except UserError:
            end = "refused" if not turn.text and self._world.is_alive else "broken"
            raise
        finally:
            events.close()  # type: ignore[attr-defined]
            self._world.ledger.finish(turn, end)
            if end == "broken":
                self._world.broken.append(turn)

    def _chat(self) -> None:
        broken = self._world.take_broken()
        if broken is not None:  # resume what the engine's death cut off
            turn = self._world.ledger.go_on(broken)
            messages = [{"role": "user", "content": turn.question}]
            body = {"messages": messages, "max_tokens": 40, "temperature": 0, "forced_prefix": turn.text}
            self._read(turn, body)
            self._world.count("resumed")
            return
        self._read(*self._ask())

    def _stop_late(self) -> None:
        """Stop after some text."""
        turn, body = self._ask()
        most = self._random.randrange(1, 60)
        self._read(turn, {**body, "max_tokens": 400}, lambda: len(turn.text) > most)

    def _stop_early(self) -> None:
        """Stop in the middle of the prompt: the connection ends before anything came."""
        turn, body = self._ask()
        long = {**body, "messages": [{"role": "user", "content": self._words(200, 900)}], "stream": True}
        connection = self._connect()
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(long), self._headers())
            time.sleep(self._random.random() * 0.15)
            assert connection.sock is not None
            connection.sock.shutdown(socket.SHUT_RDWR)
        finally:
            connection.close()
            self._world.ledger.finish(turn, "cancelled")

    def _walk_away(self) -> None:
        """Ask in one piece and hang up before the answer."""
        connection = self._connect()
        body = {"messages": [{"role": "user", "content": self._words(5, 50)}], "max_tokens": 300, "seed": 5}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), self._headers())
        time.sleep(self._random.random() * 0.3)
        connection.close()

    def _dawdle(self) -> None:
        """Read so slowly that the answer waits in the engine, then leave."""
        events = self._events({"messages": [{"role": "user", "content": "slow"}], "max_tokens": 200, "temperature": 1})
        next(events)
        time.sleep(1 + self._random.random())
        events.close()  # type: ignore[attr-defined]

    def _leave_app(self) -> None:
        """As if the app itself ended in the middle: only the journal stays."""
        turn, body = self._ask()
        events = self._events(body)
        try:
            for event in events:
                if event.text:
                    turn.keep(event.text)
                if len(turn.text) > 20:
                    break
        finally:
            events.close()  # type: ignore[attr-defined]
            self._world.ledger.finish(turn, "left")

    # ---- questions with a known answer -----------------------------------------------------------------------------

    def _reference(self) -> None:
        """A greedy question with a known answer, whatever others do meanwhile."""
        name, body, expected = self._random.choice(self._world.references)
        events = list(self._events(body))
        said = "".join(event.text for event in events)
        if said != expected:
            self._world.fault(f"reference {name}: {said[:80]!r} instead of {expected[:80]!r}: {events[-1]}")

    def _schema(self) -> None:
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}
        body = {"messages": [{"role": "user", "content": "?"}], "response_format": shape, "temperature": 1}
        events = list(self._events(body))
        if events[-1].finish_reason == "stop":
            said = json.loads("".join(event.text for event in events))
            assert 1 <= said["n"] <= 99 and isinstance(said["on"], bool), said

    def _logprobs(self) -> None:
        body = {"messages": [{"role": "user", "content": self._words(2, 9)}], "max_tokens": 8, "logprobs": True}
        entries = [e for event in self._events({**body, "top_logprobs": 3}) for e in event.logprobs]
        assert all(len(entry["top_logprobs"]) == 3 for entry in entries), entries

    def _whole(self) -> None:
        body = {"messages": [{"role": "user", "content": self._words(2, 9)}], "max_tokens": 12, "lora": self._lora()}
        self._json("POST", "/v1/chat/completions", body)

    # ---- everything else -------------------------------------------------------------------------------------------

    def _lora(self) -> list[dict[str, Any]]:
        chosen = [path for path in self._world.adapters if self._random.random() < 0.5]
        return [{"path": str(path), "scale": self._random.choice([0.25, 0.5, 1.0, -0.5])} for path in chosen]

    def _swap(self) -> None:
        self._json("POST", "/lora-adapters", self._lora())

    def _control(self) -> None:
        for path in self._random.sample(["/health", "/v1/models", "/props", "/metrics", "/slots", "/lora-adapters"], 3):
            self._json("GET", path)
        self._json("POST", "/tokenize", {"messages": [{"role": "user", "content": self._words(1, 40)}]})

    def _odd(self) -> None:
        method, path, body, status = self._random.choice(_ODD)
        self._json(method, path, body, status)

    def _view(self) -> None:
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": self._words(3, 9)}]
        self._json("POST", "/token-view", {"messages": messages, "top_logprobs": 2})

    def _half_request(self) -> None:
        """A connection that says half a thing and goes, with or without a word."""
        with socket.create_connection(("127.0.0.1", self._world.engine.port), timeout=10) as half:
            half.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"[: self._random.randrange(70)]
            )
            time.sleep(self._random.random() * 0.1)

    def _json(self, method: str, path: str, body: Any = None, status: int = 200) -> None:
        connection = self._connect()
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self._headers())
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        if response.status != status:
            raise UserError(f"{method} {path} → {response.status} instead of {status}: {said[:300]!r}")

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._world.engine.port, timeout=self._world.bound_s)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._world.engine.key}", "Content-Type": "application/json"}

    def _words(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=self._random.randrange(least, most)))
