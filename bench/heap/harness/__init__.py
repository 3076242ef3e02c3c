"""The parts of run.py: which allocators there are, how a workload is run under one, what is said about the figures."""
