"""Champion and challenger from the audit log: do they differ, by how much, and what would it take to tell."""
