"""Polyhull: joint placement of AI workloads and their data, with a proof of how close to optimal it is."""

__version__ = "0.1.0"
