"""What a data plane executes, spelled as xDS spells it: values only, encodable, consistent.

`model` holds the snapshot itself, `consistency` proves that every reference in one
resolves, `delta` says what changed between two, and `messages` is what crosses the socket
between the supervisor and its workers.
"""
