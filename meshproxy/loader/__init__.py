"""YAML text → resources: every mistake at once, each with file, line and field path. Pure but for `files`.

`yaml_documents` turns text into plain values that know their lines, `convert` makes structs of
them (and `explain` says everything that keeps them from becoming one), `rules` holds what
Kubernetes' API server would refuse, and `load` puts it together.
"""
