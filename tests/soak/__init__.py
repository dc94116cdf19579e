"""A soak of the model engine: people chat, stop, walk away and swap adapters while the engine is killed now and then.

`python -m tests.soak --minutes 60` runs it for long; `tests/worker/test_soak.py` runs a short one. What must hold: every
request is answered or refused within a bound, every turn asked through the project's chat store is there afterwards,
complete or honestly partial, equal questions keep their equal answers, and the engine's memory stays flat.
"""
