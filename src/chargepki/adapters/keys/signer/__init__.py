"""A vault in a process of its own: it signs what it can read and has been told a reason for, and lists every signature."""
