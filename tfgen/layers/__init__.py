"""One idea and its paper a file."""
