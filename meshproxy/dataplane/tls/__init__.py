"""TLS beside plain sockets: after the handshake a `TLSStream` stands where a socket would.

Theory of operation. OpenSSL never touches a socket: it works on two memory BIOs, and we move the ciphertext. Measured
against `SSLContext.wrap_socket` (both ends, one core, AES-256-GCM): the same for a small request and its response,
12 to 20 % more bytes a second in bulk, since one system call carries up to 64 KiB of records where OpenSSL itself makes
two for each of 16 KiB. Nor is anything ever left inside OpenSSL that epoll does not know of, and what was read before
it was known to be TLS (a PROXY header, a ClientHello that decides on the certificate) needs no second look. Kernel
TLS would do better yet for bulk; Python 3.11 has no name for it, and it needs a kernel that was built with it.

A `ServerHandshake` owns a client's socket until it has a `TLSStream`; a `ClientHandshake` does the same for an
endpoint's. `contexts` makes OpenSSL's contexts of a snapshot's settings and of `TLSMaterial`, which comes from
the supervisor in messages of its own and is replaced without a new snapshot: new handshakes use the new, open
connections stay. `turns` bounds how many handshakes are computed at once.
"""
