"""`make demo`: a hub and two members on this machine, the operator, the example - planned beside observed.

A harness: it prepares, applies, watches and prints. Everything it shows as observed comes from pods of the members;
how long those run comes from the truth table, never from the plan.
"""
