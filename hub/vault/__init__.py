"""The floor: encryption at rest and blind indexes, with keys kept outside the database."""
