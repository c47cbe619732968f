"""Samplers: whatever draws labelled images, and the folder they are saved in."""
