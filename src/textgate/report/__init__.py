"""The verdict and everything behind it, for people."""
