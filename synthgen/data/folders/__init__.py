"""How folders of images are read: what lies where, and what it means."""
