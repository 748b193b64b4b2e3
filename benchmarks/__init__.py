"""Figures: what is measured, on which instance, beside which anchor. `python -m benchmarks NAME [--data DIR]`."""
