"""How the admin writes dates: short, unambiguous, the same in every list. Named by settings.FORMAT_MODULE_PATH."""
