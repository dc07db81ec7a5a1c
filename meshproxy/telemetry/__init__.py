"""What happened, for people and for Prometheus: totals, events, metrics, logs, the access log.

`logs`, `latency` and `access_filter` are lean, since workers use them; the rest runs in the supervisor only.
`totals` and `request_totals` add what workers report, `prometheus` and `request_metrics` make text of it;
`access_lines` makes lines of finished requests, `access_log` writes them.
"""
