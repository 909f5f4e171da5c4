"""textgate: a pull request trains, tests, scans and compares a text classifier; a tag ships the judged bytes."""
