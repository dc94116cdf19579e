"""What is known of model files without opening their weights."""
