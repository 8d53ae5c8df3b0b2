"""The search beside what else people would use, on the same work."""
