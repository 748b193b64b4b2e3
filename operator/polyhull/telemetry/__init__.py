"""What the operator says about itself: metrics, health, records of decisions, structured logs."""
