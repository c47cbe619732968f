"""Tables that list images, and archives that hold them: which column, or member, means what."""
