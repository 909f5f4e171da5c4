"""Where released models live, and which of them is the champion.

`protocol.py` says what a registry can do; `mlflow_registry.py` and `github.py` do it, and `chosen.py` says which one
this project uses. Every change can be repeated after it was killed.
"""
