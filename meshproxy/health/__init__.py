"""Which endpoints may be used: active checks and outlier ejection, over the snapshot's clusters.

    snapshot ─▶ monitor ─▶ prober ─▶ probes ─▶ endpoints
    workers' failures ─▶  │  ◀─ results ┘
                          └─▶ cluster_health ─▶ events, and who may be used ─▶ workers

`cluster_health` decides, with `results` for checks and `outlier` for ejections: all three are pure
and take `now`. `prober` runs checks when `schedule` says, and `monitor` is the one who is talked to.
"""
