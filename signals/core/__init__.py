"""The rules of a signal's life in plain Python: no Django, no clock, no database."""
