"""What Kubernetes is told: values in, manifests as plain dicts out. No I/O; equal inputs give equal manifests."""
