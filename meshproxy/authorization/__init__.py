"""From a caller and a request to a verdict. Pure.

`Authorizer` holds one `Authorization` of the snapshot; each of its lists is a `RuleSet`, which finds the rules that
may hold for a `Caller` by who they name, and of these by what they name of a request (`OperationIndex`). So the time
that a verdict takes does not depend on how many rules are for others, or for other paths.
"""
