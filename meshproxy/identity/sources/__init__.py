"""Where identities come from: one file for each source."""
