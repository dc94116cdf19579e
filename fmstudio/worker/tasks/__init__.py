"""What a job's step can do: one module a task, each with ``run(params, ctx, plugins) -> result``."""
