"""The judged bundle into a release: a version, an archive that is the same each time, evidence, notes and a list."""
