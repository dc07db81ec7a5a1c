"""Why a request failed, in two letters: Envoy's response flags, and one of our own (PL)."""

from __future__ import annotations

FLAGS = {
    "DC": "the client hung up",
    "DPE": "the client's request was malformed",
    "DT": "the client's request did not arrive in time",
    "NC": "the rule leads to a backend that does not exist or is not allowed",
    "NR": "no rule matches",
    "RBAC": "an authorization policy or an intention of Consul's refused it",
    "RL": "the rate limit was exceeded",
    "UC": "the upstream closed the connection",
    "UF": "no connection to the upstream could be opened",
    "UH": "there is no endpoint to send it to",
    "UO": "the circuit breaker's limit was exceeded",
    "UPE": "the upstream's response was malformed",
    "URX": "all retries were used up",
    "UT": "the upstream did not answer in time",
    "PL": "the request is larger than allowed",
}
"""Each flag and what it means."""
