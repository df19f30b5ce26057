"""Draws what `cg demo` prints of its last comparison, as docs/images/demo.svg: the picture of README.md.

    python scripts/draw_demo.py [TARGET]

The demo runs in a temporary folder. The picture names no font from the network.
"""

import io
import re
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from commonground.interfaces.demo import story

TARGET = Path(__file__).parents[1] / "docs" / "images" / "demo.svg"
WIDTH = 88
FIRST, LAST = re.compile(r"^ 8 {2}"), re.compile(r"^ {4}Difference")
BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, WHITE, GREY = (
    (20, 23, 26),
    (243, 145, 138),
    (111, 203, 159),
    (230, 176, 90),
    (132, 187, 242),
    (189, 168, 243),
    (132, 187, 242),
    (231, 233, 234),
    (152, 161, 168),
)
NORMAL = [BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, WHITE]
THEME = TerminalTheme(BLACK, WHITE, NORMAL, [GREY, *NORMAL[1:]])


def main() -> None:
    """Run the demo, cut the comparison out, draw it."""
    console = Console(file=io.StringIO(), width=WIDTH, record=True, force_terminal=True, color_system="standard")
    with tempfile.TemporaryDirectory() as folder:
        story.run(Path(folder) / "lung-nodules", console=console)
    lines = console.export_text(styles=True).splitlines()
    plain = [Text.from_ansi(line).plain for line in lines]
    first = next(at for at, line in enumerate(plain) if FIRST.match(line))
    last = next(at for at in range(first, len(plain)) if LAST.match(plain[at])) + 2
    page = Console(file=io.StringIO(), width=WIDTH, record=True, force_terminal=True, color_system="standard")
    for line in lines[first:last]:
        page.print(Text.from_ansi(line), soft_wrap=True)
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    frame = re.sub(r"\s*<!-- Generated.*?-->", "", frame)
    frame = frame.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        page.export_svg(title="cg demo", theme=THEME, code_format=frame, unique_id="demo"), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
