import sys

from synthgen.cli.main import main

sys.exit(main(["train", *sys.argv[1:]]))
