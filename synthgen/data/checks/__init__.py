"""What is wrong or odd about a source: found, written down, and shown."""
