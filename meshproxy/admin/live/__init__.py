"""What changes, once a second, for everyone who watches: the dashboard and `meshproxy top`.

`mesh` is what the snapshot says is connected to what, `rates` what happens on it, `feed` makes of both, and of all else
that people see, the sections that changed since a moment ago, and `viewers` sends them as Server-Sent Events.
"""
