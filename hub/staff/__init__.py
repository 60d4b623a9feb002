"""The floor: the people who run the hub and what each role may do."""
