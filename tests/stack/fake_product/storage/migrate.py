import sys

import fake_process

fake_process.note(f"migrate {sys.argv[1]}")
print("migrating", sys.argv[1])
answer = fake_process.HOME / f"migrate-{sys.argv[1]}.exit"
raise SystemExit(int(answer.read_text()) if answer.exists() else 0)
