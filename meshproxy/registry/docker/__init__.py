"""Docker containers as Workloads, and what their labels ask for as Services and HTTPRoutes.

`client` speaks to the engine (list and events, nothing else); `containers` and `events` read what it
answers; `inventory` keeps what is known; `networks`, `labels`, `workloads`, `services`, `variants` and
`routes` lead, without I/O, from containers to resources and findings; `source` is the loop around them.
"""
