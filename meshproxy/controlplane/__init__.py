"""From sources to workers: what is said, what is in force, and what was refused and why.

`store` keeps the latest word of each source; `control_plane` compiles it, a burst of changes at a
time; `publisher` decides what each worker is told, and what happens when one refuses;
`last_good` keeps what all accepted for the next start.
"""
