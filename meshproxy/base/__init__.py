"""The innermost ring: names, addresses, durations, hashes and errors that every package shares."""
