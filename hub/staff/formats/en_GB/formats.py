"""Dates of the admin, all in UTC: "21 Nov 2025 22:15"."""

DATETIME_FORMAT = "j M Y H:i"
DATE_FORMAT = "j M Y"
SHORT_DATETIME_FORMAT = "j M Y H:i"
SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
