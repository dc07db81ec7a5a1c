"""Which endpoints may be used: active probes and outlier ejection, over the snapshot's clusters.

`thresholds` and `outlier` are pure and take `now`; `probes` talk to endpoints; `monitor` owns the
state of every endpoint and tells workers what changed.
"""
