"""Rows and bundles of other commits beside those of today: what changed, and whether training again gives the same."""
