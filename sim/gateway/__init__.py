"""The gateway: what stands between a client and a queue, for both paths."""
