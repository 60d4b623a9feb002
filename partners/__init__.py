"""WHO may share: partners, programmes, memberships and keys. Other apps enter by partners.public."""
