"""One file per verb: build what the settings name, call the stage, say which folder it wrote."""
