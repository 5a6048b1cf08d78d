import fake_process

fake_process.run("watchdog")
