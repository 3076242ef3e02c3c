"""The parts of run.py: which allocators there are, how a workload is run under one, and what is said about the figures."""
