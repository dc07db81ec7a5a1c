"""Which endpoint gets the next connection: one algorithm a file behind one `Balancer` protocol.

Pure: no clock, no I/O, and randomness is handed in. Every pick, and every change of one
endpoint's availability, costs the same with ten endpoints as with ten thousand.

`api` is the contract, and `factory` leads from an algorithm's name to it. `membership` is what
all algorithms do about who is in. Two of them take turns among classes of equal weight
(`turns`: round_robin, least_connections), two draw by weight (random_choice, least_request),
and two look a hash of the client up in a table that is built in steps (`hashed`:
source_hash, maglev).
"""
