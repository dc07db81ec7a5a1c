"""Request → rule, by Gateway API precedence. Pure, and the same for the data plane and for `route explain`."""
