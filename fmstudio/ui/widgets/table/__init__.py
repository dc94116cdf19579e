"""The parts of `PagedTable`: pages and model, values as text, painting, header, frozen columns and editing in place."""
