"""Who this proxy is: certificates, where they come from, and our own CA.

* `verification` decides about a peer's certificate. It is lean: workers import it.
* `sources` yield an `Identity`: from files, from our CA, from Consul's. `keeper` keeps the last good one, and warns
  before it expires.
* `authority` is our CA: signing, tokens, files.

Everything but `verification` imports `cryptography`, and belongs to the supervisor.
"""
