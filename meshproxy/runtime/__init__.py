"""The only composition root: the supervisor, its workers, signals, the state directory.

`supervisor` wires sources, control plane, health, admin API and workers together.
`worker_pool` keeps one `worker_process` alive for each worker and tells it what to serve over
a `channel`; `listener_sockets` binds what they listen on. `worker` is what runs in the child.
"""
