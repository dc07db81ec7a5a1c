"""HTTP/1.1 heads and chunked bodies without I/O (RFC 9110, RFC 9112), stricter than most.

Whatever two implementations might frame differently is refused, so that nobody behind this proxy
sees another request than it did: see `request` and `response`. Bytes go in; what comes out
says how long the head was and how the body is framed. A body's bytes stay the caller's.
"""
