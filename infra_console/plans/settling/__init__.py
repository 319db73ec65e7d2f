"""What was promised against what came of it."""
