"""Runs into MLflow or Weights & Biases. A record and not a check: it never stops a run."""

from textgate.tracking.log import log, log_evaluation, log_training

__all__ = ["log", "log_evaluation", "log_training"]
