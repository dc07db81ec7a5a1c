"""Who this proxy is: certificates, where they come from, and our own CA.

* `verification` decides about a peer's certificate, `contexts` puts ours into a TLS context. Both are lean: workers
  import them, and nothing else of this package, since the rest imports `cryptography`.
* `sources` yield an `Identity`: from files, our own CA, or Consul's; `svid` is what they all must pass.
* `keeper` keeps the last good one, and warns before it expires.
"""
