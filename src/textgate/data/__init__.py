"""Rows from their source to clean, split, checked files."""
