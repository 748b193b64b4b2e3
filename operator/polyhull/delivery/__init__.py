"""How actions reach clusters: one port, its adapters beside it, an honest in-memory one included."""
