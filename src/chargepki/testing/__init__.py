"""Shipped fakes and simulators: they obey the same contracts as the real parts and run in the same tests."""
