"""All evidence and all limits into one verdict."""
