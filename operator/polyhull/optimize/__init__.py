"""What is best: columns, the convex programme, bounds and prices. Snapshot in, numbers out; no I/O, no clock."""
