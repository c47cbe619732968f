import sys

from synthgen.cli.main import main

sys.exit(main(["synthesize", *sys.argv[1:]]))
