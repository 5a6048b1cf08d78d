import os

import fake_process

fake_process.run("api", os.environ["API_PORT"])
