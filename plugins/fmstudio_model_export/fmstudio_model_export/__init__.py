"""Writes models for other programs: merged, converted, as a folder that Ollama, llama-server and vLLM accept."""
