"""Version v1alpha1 of group polyhull.io: what users write and read, field by field."""
