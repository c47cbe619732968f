"""Sets that don't fit in memory: an index of where each image lies, and images that are decoded
when they are asked for."""
