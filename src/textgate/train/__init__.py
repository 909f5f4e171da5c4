"""Rows and an experiment into sealed bundles."""
