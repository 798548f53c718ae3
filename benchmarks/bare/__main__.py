import json
import sys

from benchmarks.bare import main

main(json.loads(sys.argv[1]))
