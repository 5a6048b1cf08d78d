"""The real stack in a home of its own, and the forms in which a secret could show itself."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.cli.conftest import ROOT, command


@dataclass(frozen=True)
class Stage:
    """A running stack."""

    home: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PERP_DEX_HOME": str(self.home), "PYTHONPATH": str(ROOT), **self.extra}

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run one command line to its end."""
        return subprocess.run(
            [*command(), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def json(self, *arguments: str) -> Any:
        """Run one command line with `--json` and read what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def status(self) -> dict[str, Any]:
        state = json.loads((self.home / "run" / "stack.json").read_text())
        assert isinstance(state, dict)
        return state

    @property
    def token(self) -> str:
        return (self.home / "api-token").read_text().strip()

    @property
    def pids(self) -> dict[str, int]:
        """Every process of the stack, the supervisor too."""
        status = self.status
        pids = {each["name"]: each["pid"] for each in status["processes"]}
        return pids | {"supervisor": status["supervisor_pid"]}

    def api(self) -> httpx2.Client:
        """A client of the API that shows every answer as it is."""
        return httpx2.Client(
            base_url=self.status["api_url"],
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
            trust_env=False,
        )

    def simulator(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the exchange's control port."""
        with httpx2.Client(
            base_url=self.status["sim_control_url"], timeout=30, trust_env=False
        ) as client:
            answer = client.request(method, path, json=body)
            assert answer.status_code < 300, answer.text
            return answer.json()


@contextmanager
def running_stage(home: Path, **extra: str) -> Iterator[Stage]:
    """Start a stack in `home`; it is stopped in the end."""
    stage = Stage(home, extra)
    up = stage.run("up", "--detach", "--ports", "auto", "--durability", "process", timeout_s=250)
    try:
        assert up.returncode == 0, up.stderr
        yield stage
    finally:
        down = stage.run("down")
        assert down.returncode == 0, down.stderr


@dataclass(frozen=True)
class Needles:
    """Every form in which a secret could be written; shows none of them."""

    name: str
    forms: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of_key(cls, name: str, private_key: str) -> Needles:
        """The forms of a private key in hexadecimal."""
        text = private_key.removeprefix("0x")
        raw = bytes.fromhex(text)
        texts = (text.lower().encode(), text.upper().encode(), text.encode())
        forms = {raw, raw[::-1], *texts}
        for each in (raw, *texts, *(b"0x" + one for one in texts)):
            forms |= _base64_forms(each)
        return cls(name, tuple(forms))

    @classmethod
    def of_text(cls, name: str, text: str) -> Needles:
        """The forms of a text."""
        raw = text.encode()
        return cls(name, (raw, raw.hex().encode(), *_base64_forms(raw)))

    def within(self, content: bytes) -> bool:
        """Tell whether any form is in `content`."""
        return any(form in content for form in self.forms)


def _base64_forms(raw: bytes) -> set[bytes]:
    """Base64 wherever the text may begin in a longer one; only what surrounds it is left out."""
    forms = set()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + raw + b"\0" * ((-offset - len(raw)) % 3))
            forms.add(encoded[4 if offset else 0 : -4])
    return forms
