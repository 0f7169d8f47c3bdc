"""The reference twin: NumPy arrays today, any array library with the same functions tomorrow."""
