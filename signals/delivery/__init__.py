"""How bytes reach a partner: payload, signature, guard, sender."""
