"""The transparency log's formats and proofs (RFC 6962 and C2SP), pure: no Django, no clock, no files."""
