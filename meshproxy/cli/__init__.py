"""The `meshproxy` command: a module for each subcommand, imported only when it is called.

Exit status: 0 fine, 1 the thing asked about is bad, 2 usage.
"""
