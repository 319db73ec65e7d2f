"""The way back: compensations, and the verb that starts them."""
