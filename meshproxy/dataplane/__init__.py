"""Sockets and bytes. File names follow a connection: listener → connection → cluster → upstream → pump.

A worker runs one `DataPlane` (`engine`). It applies the supervisor's messages to `Listener`s
and `Cluster`s. A `TCPListener` accepts a client; a `Connection` asks its `Cluster` for an
`Upstream`, connects to it (trying others while nothing was sent), and leaves the bytes to two
`Pump`s, one a direction. `udp` does the same for datagrams, with sessions for connections.

Everything is callbacks on slotted objects over non-blocking sockets and the loop's
`add_reader` and `add_writer`: in steady state no task, future or transport exists. Transports
were measured and left out: the same CPU per small request, more per byte moved, and an
accept path that closes the listening socket when descriptors run out.
"""
