"""What exists: frozen values in names and units. Standard library only; everything above may import this room."""
