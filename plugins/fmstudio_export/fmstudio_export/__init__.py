"""Dataset exporters. Each module writes one family of formats."""
