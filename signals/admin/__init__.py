"""The analysts' and operators' door: read-only lists with buttons that call verbs."""
