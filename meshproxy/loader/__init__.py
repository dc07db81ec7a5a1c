"""YAML text → resources: every mistake at once, each with file, line and field path. Pure but for `files`.

`decoding` and `yaml_documents` turn bytes into plain values that know their lines (`nodes`).
`load` makes structs of them by `msgspec`, and puts everything together; where that fails,
`explain` says all that keeps a document from becoming one. `rules` holds what Kubernetes'
API server would refuse, `kinds` says which documents are ours, `unsupported` what nothing acts
on. `places` remembers where each resource stands, for those who find fault with it later.
"""
