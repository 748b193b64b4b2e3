"""The live operator: kopf handlers mark dirty, one debounced loop decides and acts (kopf lives here alone)."""
