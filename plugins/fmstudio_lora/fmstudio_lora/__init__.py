"""LoRA fine-tuning on answers (SFT), and export of the adapter to GGUF. Torch is imported when a run starts, not before."""
