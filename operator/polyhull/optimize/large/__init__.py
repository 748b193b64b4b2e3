"""Fleets of many classes and columns: one price for each pool and link, the same question to every class."""
