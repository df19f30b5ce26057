"""Real git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CODE = {"train.py": "import helper\nhelper.f()\n", "pkg/helper.py": "def f():\n    return 1\n", "README": "x\n"}


class Repository:
    """A real repository in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / ".git").exists():
            root.mkdir(parents=True, exist_ok=True)
            self.git("init", "-q", "-b", "main")

    def git(self, *words, **settings):
        """Run git; returns what it says."""
        given = {
            **os.environ,
            **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), "/dev/null"),
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Tester"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "tester@localhost"),
        }
        command = ["git", "-c", "protocol.file.allow=always", *words]
        done = subprocess.run(command, cwd=self.root, env=given, check=True, stdout=subprocess.PIPE, **settings)
        return done.stdout.decode(errors="replace").strip()

    def write(self, files):
        """Write text or bytes to files below the root."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files=None):
        """Write files and commit all there is; returns the commit."""
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x", "--no-verify")
        return self.git("rev-parse", "HEAD")
