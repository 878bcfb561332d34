"""The check of principles: what is suspicious about a set that loads, each time with a customer who shows it."""
