"""The engine: clock, random streams, life cycle, queues and columns."""
