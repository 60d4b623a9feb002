"""Partners, programmes, memberships and keys in the admin: read-only pages whose buttons call verbs."""

from partners.admin import keys, memberships, partners, programmes

__all__ = ["keys", "memberships", "partners", "programmes"]
