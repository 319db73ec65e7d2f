"""From an approved plan to its last step."""
