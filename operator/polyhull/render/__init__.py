"""What Kubernetes is told: values in, manifests as plain dicts out. No I/O, no clock; equal inputs, equal manifests."""
