"""Sweeps: many jobs of one command line, on this machine or others, and what became of them."""
