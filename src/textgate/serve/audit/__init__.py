"""What was answered to whom by which model: an append-only, hash-chained log."""
