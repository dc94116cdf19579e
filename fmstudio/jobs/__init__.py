"""Jobs and the processes that do them: pure Python, no Qt, testable without a window."""
