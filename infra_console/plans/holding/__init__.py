"""Who may write now: leases, locks, epochs, the order to begin, floors and budgets."""
