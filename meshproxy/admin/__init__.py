"""The HTTP API that `meshproxy get` and people's tools ask. `view` is what it needs of the running proxy,
`documents` what it answers, `server` how it is asked.
"""
