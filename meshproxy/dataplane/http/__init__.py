"""HTTP/1.1: file names follow a request.

A `Downstream` reads requests off a client's connection, one after the other. Each is an `Exchange`: it asks the
listener's router for a rule, the rule for a backend, the backend's cluster for an upstream, and that one's `Pool`
for an `UpstreamConnection`; `forwarding` writes the heads for both sides. Bodies pass through in pieces as large
as the other side takes.

In steady state a request creates its two heads and nothing else that outlives a callback.
"""
