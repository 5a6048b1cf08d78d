"""What can go wrong with the embedded stack, each with what was expected and what to do."""


class StackError(Exception):
    """The stack could not do what was asked; the text says why and what to do."""


class StackConfigurationError(StackError):
    """A setting is wrong, missing, or contradicts another."""


class PortTaken(StackConfigurationError):
    """A port that a process of the stack needs is in use by something else."""


class StackAlreadyRunning(StackError):
    """A supervisor holds this home already."""


class ChildFailed(StackError):
    """A process of the stack ended or never became ready; `log_lines` are its last words."""

    def __init__(self, name: str, reason: str, log_lines: tuple[str, ...] = ()) -> None:
        self.name = name
        self.reason = reason
        self.log_lines = log_lines
        text = f"{name}: {reason}"
        if log_lines:
            text += "\nlast lines of its log:\n" + "\n".join(f"  {line}" for line in log_lines)
        super().__init__(text)
