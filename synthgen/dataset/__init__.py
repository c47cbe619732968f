"""A drawn set: the names of its files, and what is written in them (:mod:`.schema`)."""

DESCRIPTION = "dataset.json"
MANIFEST = "manifest.jsonl"  # a row per image
INDEX = "index.jsonl"  # a row per file, of a set that keeps its images in shards
README = "README.md"
