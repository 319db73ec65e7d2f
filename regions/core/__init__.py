"""Geography as numbers and rules: no Django, no I/O, no clock."""
