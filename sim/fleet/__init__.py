"""The fleet, where anything may happen to a query and to a machine."""
