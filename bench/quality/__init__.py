"""`make bench-quality`: how good the models are, beside published numbers."""
