"""Our own CA, without its server: what it signs, where it keeps it, and the tokens it takes.

* `certificates` makes certificates, `requests` reads signing requests. Both take `now`.
* `store` is the CA's directory, and the only one who writes there but for `tokens`.
* `tokens` are single-use, expiring, and stored as hashes.
"""
