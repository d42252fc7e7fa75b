"""What touches platforms. A driver knows nothing of files, of recorded state or of plans; it is asked about one
deployment at a time, answers at once and is asked again. Nothing here imports `reconciler` or `state`."""
