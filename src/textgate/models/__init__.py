"""The kinds of model, and the protocol that they share."""
