import os
import sys

import fake_process

(venue,) = sys.argv[1:]
fake_process.run(f"sim-{venue}", os.environ["SIM_PORT"])
