"""Chat with GGUF models through llama.cpp's C interface; first-party plugin, written against `fmstudio.api` only."""
