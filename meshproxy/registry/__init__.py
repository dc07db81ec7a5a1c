"""Where resources come from. Each module is a `resources.update.Source`; none knows who listens."""
