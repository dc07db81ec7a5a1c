"""What happened, for people and for Prometheus: totals, events, metrics, logs.

`logs` is lean, since workers use it; the rest runs in the supervisor only.
"""
