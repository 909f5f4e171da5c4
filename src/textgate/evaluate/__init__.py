"""Models on the same rows in the same run, with intervals."""
