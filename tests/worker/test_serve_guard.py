"""Hostile clients of a running engine: each is refused or bounded, and others are answered meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fmstudio.jobs.sse import post_chat
from tests.helpers import wait_until
from tests.worker.test_serve import INFO, KEY, ScriptedBackend, Server, say, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving(lambda: (ScriptedBackend(0.001), INFO)) as server:
        yield server


def answers(running: Server) -> None:
    """Somebody else is answered, at once."""
    start = time.monotonic()
    assert running.post("/v1/chat/completions", say("hello", max_tokens=3)).status_code == 200
    assert time.monotonic() - start < 5


def raw(running: Server, data: bytes, *, wait: float = 5.0) -> bytes:
    """Send bytes as they are; give all that comes until the other side closes or nothing more comes."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=wait) as connection:
        connection.sendall(data)
        said = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                said += part
                head, _, body = said.partition(b"\r\n\r\n")
                if b"content-length:" in head and len(body) >= int(head.split(b"content-length:")[1].split()[0]):
                    break
        return said


def status(said: bytes) -> int:
    return int(said.split()[1]) if said.startswith(b"HTTP/1.1 ") else 0


def head(
    running: Server, *lines: str, method: str = "POST", path: str = "/v1/chat/completions", host: str = ""
) -> bytes:
    """A request's head with the right key."""
    first = f"{method} {path} HTTP/1.1"
    fields = [f"Host: {host or f'127.0.0.1:{running.port}'}", f"Authorization: Bearer {KEY}", *lines]
    return "\r\n".join([first, *fields, "", ""]).encode()


BODY = json.dumps(say("hello", max_tokens=3)).encode()


class TestOddities:
    """Requests that two readers could understand differently, or none at all."""

    def test_a_sound_request_by_hand_is_answered(self, running: Server) -> None:
        assert status(raw(running, head(running, f"Content-Length: {len(BODY)}") + BODY)) == 200

    @pytest.mark.parametrize(
        "lines",
        [
            ["Content-Length: 5", "Content-Length: 6"],
            ["Content-Length: -1"],
            ["Content-Length: 5x"],
            ["Content-Length: 99999999999999999999999999"],
            ["Transfer-Encoding: gzip, chunked"],
            ["Transfer-Encoding: chunked, identity"],
            ["Transfer-Encoding: cow"],
            ["Content-Length : 5"],
            ["Bad\x00Name: x"],
            ["X: a\x00b"],
            [" folded first"],
        ],
    )
    def test_ambiguous_or_broken_heads_are_refused_and_the_connection_ends(
        self, running: Server, lines: list[str]
    ) -> None:
        said = raw(running, head(running, *lines) + BODY, wait=2)
        assert status(said) in (0, 400, 401, 413, 501), said
        answers(running)

    def test_both_lengths_are_not_read_as_two_requests(self, running: Server) -> None:
        """A length that ends early must not make the rest of a chunked body a request of its own."""
        hidden = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        chunked = b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
        said = raw(running, head(running, "Content-Length: 4", "Transfer-Encoding: chunked") + chunked + hidden, wait=2)
        assert said.count(b"HTTP/1.1 200") <= 1 and b"fmstudio_requests" not in said
        answers(running)

    @pytest.mark.parametrize(
        "data",
        [
            b"\r\n" * 1000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /v1/models\r\n\r\n",
            b"A" * 100_000,
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(20_000)) + b"\r\n",
        ],
    )
    def test_what_is_no_request_is_refused(self, running: Server, data: bytes) -> None:
        assert status(raw(running, data, wait=2)) in (0, 400, 403)
        answers(running)

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "127.0.0.1.evil.example:{port}", "127.0.0.1:{port}, evil", "127.0.0.1:{port}@evil", "[::1",
         "0.0.0.0:{port}", "127.1:{port}", "2130706433:{port}", "localhost.:{port}", "LOCALHOST.evil:{port}",
         "127.0.0.1:{port}\t.evil", "::1:{port}"],
    )  # fmt: skip
    def test_a_rebound_name_is_refused(self, running: Server, host: str) -> None:
        said = raw(running, head(running, method="GET", path="/v1/models", host=host.format(port=running.port)))
        assert status(said) in (400, 403)

    def test_two_hosts_or_none_or_another_in_the_target_are_refused(self, running: Server) -> None:
        own = f"Host: 127.0.0.1:{running.port}"
        assert status(raw(running, head(running, own, method="GET", path="/v1/models"))) in (400, 403)
        key = f"Authorization: Bearer {KEY}"
        assert status(raw(running, f"GET /v1/models HTTP/1.0\r\n{key}\r\n\r\n".encode())) in (400, 403)
        said = raw(running, head(running, method="GET", path="http://evil.example/v1/models"))
        assert status(said) in (400, 403, 404)

    def test_two_keys_are_none(self, running: Server) -> None:
        said = raw(running, head(running, "Authorization: Bearer wrong", method="GET", path="/v1/models"))
        assert status(said) == 401


class TestBodies:
    def test_an_endless_chunked_body_is_413(self, running: Server) -> None:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(head(running, "Transfer-Encoding: chunked"))
            chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
            said = b""
            with contextlib.suppress(ConnectionError):
                for _ in range(400):  # 26 MB, if nobody minds
                    connection.sendall(chunk)
            with contextlib.suppress(ConnectionError):
                said = connection.recv(4000)
        assert status(said) in (0, 413)
        answers(running)

    def test_a_claimed_giant_is_413_once_it_is_too_large(self, running: Server) -> None:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(head(running, f"Content-Length: {10**12}"))
            with contextlib.suppress(ConnectionError):
                for _ in range(200):
                    connection.sendall(b" " * 65536)
            with contextlib.suppress(ConnectionError):
                assert status(connection.recv(4000)) in (0, 413)
        answers(running)

    def test_what_a_stranger_sends_is_not_read(self, running: Server) -> None:
        """Without the key, a body of any size is refused at its head, and the connection ends."""
        strange = head(running, "Content-Length: 1000000000").replace(KEY.encode(), b"guess")
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
            connection.sendall(strange)
            said = connection.recv(4000)
            assert status(said) == 401 and b"connection: close" in said
            with contextlib.suppress(ConnectionError):
                while connection.recv(4000):
                    pass


class TestCrowds:
    def test_many_idle_connections_keep_nobody_out(self, running: Server) -> None:
        with contextlib.ExitStack() as stack:
            idle = []
            for number in range(700):
                made = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
                made.sendall((b"", b"GET /heal", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: ")[number % 3])
                idle.append(made)
                if number % 100 == 0:
                    answers(running)
            answers(running)
            closed = sum(1 for made in idle if _is_closed(made))
        assert closed > 500

    def test_many_slow_bodies_keep_nobody_out(self, running: Server) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                made = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
                made.sendall(head(running, "Content-Length: 100000") + b'{"mess')
            answers(running)

    def test_a_kept_connection_is_not_the_first_to_go(self, running: Server) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        with contextlib.ExitStack() as stack:
            for number in range(300):
                stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
                if number % 50 == 0:
                    kept.request("GET", "/v1/models", headers=running.headers)
                    assert kept.getresponse().read()
        kept.close()

    def test_a_thousand_requests_at_once_are_answered_or_refused(self, running: Server) -> None:
        stream = post_chat(running.port, KEY, say("others", max_tokens=400))
        next(stream)
        came: Counter[int] = Counter()

        def ask(number: int) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            try:
                path = "/v1/chat/completions" if number % 2 else "/v1/models"
                body = json.dumps(say("one", max_tokens=2)) if number % 2 else None
                connection.request("POST" if number % 2 else "GET", path, body, running.headers)
                response = connection.getresponse()
                response.read()
                return response.status
            except OSError:
                return 0
            finally:
                connection.close()

        start = time.monotonic()
        with ThreadPoolExecutor(250) as pool:
            came.update(pool.map(ask, range(1000)))
        assert time.monotonic() - start < 60
        assert set(came) <= {0, 200, 429, 503} and came[200] >= 450, came
        assert "".join(event.text for event in stream).endswith("398 399 ")
        answers(running)

    def test_half_open_connections_end(self, running: Server) -> None:
        """One side says that it will send no more, and never reads."""
        halves = []
        for _ in range(50):
            half = socket.create_connection(("127.0.0.1", running.port), timeout=5)
            half.sendall(head(running, f"Content-Length: {len(BODY)}") + BODY[:5])
            half.shutdown(socket.SHUT_WR)
            halves.append(half)
        answers(running)
        wait_until(lambda: all(_is_closed(half) for half in halves), 30)
        for half in halves:
            half.close()

    def test_clients_that_never_read_slow_nobody_down(self, running: Server) -> None:
        body = json.dumps(say("deaf", max_tokens=800, stream=True)).encode()
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                deaf = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.sendall(head(running, f"Content-Length: {len(body)}") + body)
            assert running.post("/v1/chat/completions", say("hello", max_tokens=3)).status_code == 200


def test_threads_do_not_pile_up(running: Server) -> None:
    answers(running)
    assert threading.active_count() < 40


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.02)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
