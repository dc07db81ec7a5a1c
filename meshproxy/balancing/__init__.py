"""Which endpoint gets the next connection: one algorithm a file behind one `Balancer` protocol.

Pure: no clock, no I/O, and randomness is handed in. Every pick, and every change of one
endpoint's availability, costs the same with ten endpoints as with ten thousand.
"""
