"""Benchmarks: speed as ratios measured in one run; see docs/performance.md when there is one."""
