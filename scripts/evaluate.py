import sys

from synthgen.cli.main import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
