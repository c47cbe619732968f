import sys

from synthgen.cli.main import main

sys.exit(main(["compare", *sys.argv[1:]]))
