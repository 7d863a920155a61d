"""What an operator may ask for: plans, then saved wishes."""
