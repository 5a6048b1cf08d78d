import os

import fake_process

fake_process.run("streaming", os.environ["STREAMING_PORT"])
