import os
import sys

import fake_process

assert sys.argv[1:] == ["hyperliquid"]
fake_process.run("sim-hyperliquid", os.environ["SIM_PORT"])
