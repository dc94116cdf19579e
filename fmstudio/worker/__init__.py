"""Worker processes: everything with a model, a file parser or a plugin's algorithm in it. No Qt here."""
