"""A file of texts into a file of predictions, whatever its size."""
