"""DNS: names of Services from the snapshot, all others from the resolvers that this machine has.

A query goes `server` (sockets; answers whose bytes are known leave at once, `answer_cache`) →
`query` (bytes to a question, or a refusal) → `resolver` → either `zone` (a snapshot's names, pure)
and `rendering` (records to bytes), or `forwarder` (cache, retries, `upstreams`), whose answers
`forwarded` keeps as bytes. What a name means is in `names`; `explanation` says it in words.
"""
