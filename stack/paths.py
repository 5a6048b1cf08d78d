"""Where the embedded stack keeps what under PERP_DEX_HOME; all of it readable by its user only."""

from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackConfigurationError


@dataclass(frozen=True, slots=True)
class StackPaths:
    """The layout of one home directory."""

    home: Path

    @property
    def run(self) -> Path:
        """State of the running stack: lock, state file, heartbeats."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.home / "logs"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor as long as it lives; holds its pid."""
        return self.run / "supervisor.lock"

    @property
    def state_file(self) -> Path:
        """What the supervisor last said about itself and its processes."""
        return self.run / "stack.json"

    def heartbeat_file(self, name: str) -> Path:
        """Give the heartbeat file of the process called `name`."""
        return self.run / f"{name}.heartbeat"

    def log_file(self, name: str) -> Path:
        """Give the log file of the process called `name`."""
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Create the directories; raise `StackConfigurationError` where that is not possible."""
        secrets = self.home / "secrets"
        for directory in (self.home, self.run, self.logs, secrets):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StackConfigurationError(
                    f"PERP_DEX_HOME: expected a directory that can be written, found "
                    f"{str(directory)!r}: {error.strerror}; choose another by PERP_DEX_HOME"
                ) from error
        secrets.chmod(0o700)
