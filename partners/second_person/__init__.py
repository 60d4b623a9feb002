"""What one person alone may not do to a company: suspend it, or let it see more of what others share.

suspension  suspend and resume a company or one of its memberships
audience    let a company into a programme, or ask less of who receives
about       whom a proposal is about, and how that is said to the second person

The commands of `manage.py` do the same with one person, for when nobody else can be reached: their leaves name the
actor `system:console`.
"""

from partners.second_person import audience, suspension

__all__ = ["audience", "suspension"]
