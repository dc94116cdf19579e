"""What a session answers: one module a method, each with ``handle(params, state, plugins, ctx) -> result``."""
