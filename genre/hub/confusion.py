"""The confusion matrix as an image for the uploaded card."""

import io

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, FONT_SIZE = 44, 8, 15  # in pixels
DARKEST = (8, 48, 107)  # white to dark blue: a single hue is safe for colour-blind people


def confusion_image(confusion: dict) -> bytes:
    """Confusion matrix {labels, counts} as PNG: true genre by row, predicted by column; shades by share of the row."""
    labels, counts = confusion["labels"], confusion["counts"]
    font = ImageFont.load_default(FONT_SIZE)
    margin = 2 * GAP + round(max(font.getlength(text) for text in (*labels, "column: predicted")))
    size = CELL * len(labels)
    names = Image.new("RGB", (margin, size), "white")
    for row, label in enumerate(labels):
        at = (margin - GAP, CELL * (row + 0.5))
        ImageDraw.Draw(names).text(at, label, "black", font, anchor="rm")

    image = Image.new("RGB", (margin + size, margin + size), "white")
    image.paste(names, (0, 0))
    image.paste(names.transpose(Image.Transpose.ROTATE_90), (margin, size))  # right-aligned at the matrix, too
    draw = ImageDraw.Draw(image)
    draw.multiline_text((GAP, size + GAP), "row: true\ncolumn: predicted", "dimgray", font)
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            share = count / max(1, sum(line))
            left, top = margin + CELL * column, CELL * row
            shade = tuple(round(255 + share * (dark - 255)) for dark in DARKEST)
            draw.rectangle((left, top, left + CELL - 2, top + CELL - 2), shade)
            middle = (left + CELL / 2 - 1, top + CELL / 2 - 1)
            draw.text(middle, str(count), "white" if share > 0.6 else "black", font, anchor="mm")
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return file.getvalue()
