"""The wire: kinds as pydantic models, their CRDs, and the one place where objects become domain values."""
