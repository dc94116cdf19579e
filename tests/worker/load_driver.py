"""Loads model files in one process, as the engine does, and says before and after each what happens.

Arguments: a file with a JSON list of [model, adapter or empty], the number of the first, and the file for the results: a
line before each, its number; a line after each, with what was said (empty = it answered), whether a remedy was given,
seconds of computing, and the peak of memory in bytes. A process that dies says no more.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from fmstudio.api import AdapterScale, ChatBackend, GenerateRequest, UserError
from fmstudio.core.paths import first_party_plugins

LIMIT_S = 60


def main() -> int:
    """Load all of them, from the number given on."""
    sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))
    items = json.loads(Path(sys.argv[1]).read_text())
    results = Path(sys.argv[3]).open("a")  # noqa: SIM115 - open until the end, which may be any
    for number in range(int(sys.argv[2]), len(items)):
        print(json.dumps([number]), file=results, flush=True)
        start, said, has_remedy = time.process_time(), "", True
        signal.alarm(LIMIT_S)  # nothing handles it: it ends the process, whatever native code is doing
        try:
            answer(*items[number])
        except UserError as error:
            said, has_remedy = error.message, bool(error.remedy)
        except BaseException as error:  # noqa: BLE001 - reported as a fault
            said = f"FAULT {error!r}"
        signal.alarm(0)
        print(
            json.dumps([number, said, has_remedy, time.process_time() - start, peak_bytes()]), file=results, flush=True
        )
    return 0


def answer(model: str, adapter: str) -> None:
    """Load it and let it say a few tokens."""
    from fmstudio_llama_cpp.backend import LlamaCppBackend
    from fmstudio_llama_cpp.params import LlamaCppParams

    backend: ChatBackend = LlamaCppBackend()
    try:
        backend.load(Path(model), LlamaCppParams(n_ctx=256), {"use_extra_bufts": False})
        if adapter:
            backend.set_adapters([AdapterScale(Path(adapter), 1.0)])
        asked = GenerateRequest(
            messages=[{"role": "user", "content": "What is your name?"}],
            max_tokens=3,
            temperature=0.8,
            seed=1,
            logprobs=2,
            adapters=[AdapterScale(Path(adapter), 1.0)] if adapter else (),
        )
        for _ in backend.generate(asked, lambda: False):
            pass
    finally:
        backend.close()


def peak_bytes() -> int:
    """Most memory this program had of its own."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    raise SystemExit(main())
