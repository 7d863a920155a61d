"""Rules over readings -> findings; pure."""
