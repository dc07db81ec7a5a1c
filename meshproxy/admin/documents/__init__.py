"""What the admin API answers, a noun a file: rows for `get`, made of the snapshot, health and totals."""
