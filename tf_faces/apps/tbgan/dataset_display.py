"""Showing record sets in a window or in the terminal, for dataset_tool."""

import os
import sys

import numpy as np

from tf_faces.data.record_sets import inspection, reader


def label_text(label: np.ndarray) -> str:
    """Returns a label row as text, empty for no label."""
    return "[" + " ".join(f"{value:.3g}" for value in label) + "]" if len(label) else ""


def terminal_picture(picture: np.ndarray) -> str:
    """Returns two rows of pixels a line of text, as coloured upper half blocks."""
    lines = []
    for upper, lower in zip(picture[0::2], picture[1::2], strict=True):
        cells = [
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m\u2580"
            for a, b in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def has_window() -> bool:
    """True if a window can be opened here."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        import tkinter

        import PIL.ImageTk

        tkinter.Tk().destroy()
    except (ImportError, tkinter.TclError):
        return False
    return PIL.ImageTk is not None


def show_window(record_set: reader.RecordSet, start: int) -> None:
    """Shows images one by one: SPACE or ENTER for the next one, ESC to stop."""
    import tkinter

    import PIL.Image
    import PIL.ImageTk

    root = tkinter.Tk()
    root.title("dataset_tool: SPACE or ENTER next, ESC quit")
    place = tkinter.Label(root)
    place.pack()
    opened = record_set.open(0)
    numbers = iter(range(start, record_set.count))
    photos: list[
        PIL.ImageTk.PhotoImage
    ] = []  # The one on show: Tk keeps no reference of its own.

    def next_image(event=None) -> None:
        del event
        number = next(numbers, None)
        if number is None:
            root.destroy()
            return
        picture = inspection.side_by_side(record_set.checked_image(opened, number))
        zoom = max(1, 256 // picture.shape[0])
        photo = PIL.ImageTk.PhotoImage(
            PIL.Image.fromarray(picture.repeat(zoom, axis=0).repeat(zoom, axis=1))
        )
        photos[:] = [photo]
        place.configure(image=photo)
        print(number, label_text(record_set.labels[number]), flush=True)

    for key in ("<space>", "<Return>"):
        root.bind(key, next_image)
    root.bind("<Escape>", lambda event: root.destroy())
    next_image()
    try:
        root.mainloop()
    finally:
        opened.close()
