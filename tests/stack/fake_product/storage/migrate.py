import sys
import time

import fake_process

fake_process.note(f"migrate {sys.argv[1]}")
print("migrating", sys.argv[1])
if (fake_process.HOME / f"migrate-{sys.argv[1]}.hang").exists():
    time.sleep(600)
answer = fake_process.HOME / f"migrate-{sys.argv[1]}.exit"
raise SystemExit(int(answer.read_text()) if answer.exists() else 0)
