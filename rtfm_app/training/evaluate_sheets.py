"""Contact sheets: rows of pictures side by side, to be looked at by a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CAPTION_HEIGHT = 16


@dataclass
class Sheet:
    """Rows of equally large pictures under one header, written as numbered PNG pages."""

    folder: Path
    name: str
    columns: tuple[str, ...] = ("memory", "truth", "model", "homography")
    rows_per_page: int = 6
    limit: int = 24
    _rows: list[tuple[str, tuple[np.ndarray, ...]]] = field(default_factory=list)

    def add(self, caption: str, *pictures: np.ndarray) -> None:
        assert len(pictures) == len(self.columns), (len(pictures), self.columns)
        self._rows.append((caption, pictures))

    def write(self) -> list[Path]:
        """Write at most `limit` rows, evenly chosen; returns the files."""
        step = max(1, -(-len(self._rows) // self.limit))
        rows = self._rows[::step]
        self.folder.mkdir(parents=True, exist_ok=True)
        files = []
        for page, start in enumerate(range(0, len(rows), self.rows_per_page)):
            path = self.folder / f"{self.name}_{page:02d}.png"
            self._page(rows[start : start + self.rows_per_page]).save(path)
            files.append(path)
        return files

    def _page(self, rows) -> Image.Image:
        height, width = rows[0][1][0].shape[:2]
        line = height + CAPTION_HEIGHT
        page = Image.new("RGB", (width * len(self.columns), line * len(rows)), (24, 24, 24))
        draw = ImageDraw.Draw(page)
        for row, (caption, pictures) in enumerate(rows):
            for column, picture in enumerate(pictures):
                page.paste(Image.fromarray(picture), (column * width, row * line + CAPTION_HEIGHT))
                text = self.columns[column] + (f"   {caption}" if column == 2 else "")
                draw.text((column * width + 4, row * line + 2), text, fill=(230, 230, 230))
        return page
