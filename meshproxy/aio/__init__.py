"""The asyncio toolbox: owned tasks, a coalescing runner, a timer wheel, inotify. Lean: workers import it."""
