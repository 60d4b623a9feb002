"""Version 1 of what a partner reads about its programmes and fellow members, and does with its own keys."""
