"""Consul: its catalogue and its key-value store as sources, and this proxy's own services registered in it.

`agent` speaks to a Consul agent, `watch` asks it again and again for what changed; `catalog` and `kv` are the
sources, `workloads` makes resources of what the catalogue says, `registration` writes into it.
"""
