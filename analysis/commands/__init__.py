"""The commands of `python -m analysis`, one file each. They are thin; the library works."""
