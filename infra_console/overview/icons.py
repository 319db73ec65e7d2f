"""The console's icons: strokes on a 24 by 24 grid, inline, so that they take the text's colour."""

from collections.abc import Mapping

PATHS: Mapping[str, str] = {
    "alert": "M12 3.5 21.5 20h-19z M12 10v4.5 M12 17.4v.2",
    "armed": "M12 3 20 6v6c0 4.5-3.2 7.6-8 9-4.8-1.4-8-4.5-8-9V6z M8.5 12l2.5 2.5 4.5-5",
    "check": "M5 12.5 10 17.5 19.5 7",
    "clock": "M12 3.5a8.5 8.5 0 1 0 .01 0z M12 7.5V12l3 2",
    "cross": "M6 6 18 18 M18 6 6 18",
    "dots": "M6 12h.01 M12 12h.01 M18 12h.01",
    "dry": "M12 3 20 6v6c0 4.5-3.2 7.6-8 9-4.8-1.4-8-4.5-8-9V6z",
    "globe": "M12 3.5a8.5 8.5 0 1 0 .01 0z M3.5 12h17 M12 3.5c3 3 3 14 0 17 M12 3.5c-3 3-3 14 0 17",
    "half": "M12 3.5a8.5 8.5 0 1 0 .01 0z M12 3.5v17 M12 8h5 M12 12h8 M12 16h5",
    "home": "M4 11 12 4l8 7 M6 9.5V20h12V9.5",
    "inbox": "M4 13 6.5 5h11L20 13v6H4z M4 13h4.5l1 3h5l1-3H20",
    "layers": "M12 4 21 9l-9 5-9-5z M3.5 14 12 18.7 20.5 14",
    "moon": "M19 14.5A8 8 0 1 1 9.5 5a6.5 6.5 0 0 0 9.5 9.5z",
    "off": "M12 4v8 M7 6.8a7.5 7.5 0 1 0 10 0",
    "pause": "M8.5 5v14 M15.5 5v14",
    "plan": "M6 4h12v16H6z M9 9h6 M9 13h6 M9 17h3",
    "play": "M7 5 19 12 7 19z",
    "pulse": "M3 12h4l3-7 4 14 3-7h4",
    "question": "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .8-1 1.7 M12 17.2v.2",
    "repeat": "M5 11V9a3 3 0 0 1 3-3h10l-3-3 M19 13v2a3 3 0 0 1-3 3H6l3 3",
    "scale": "M12 4v16 M7 20h10 M5 7h14 M5 7 2.5 13h5z M19 7l-2.5 6h5z",
    "search": "M10.5 4.5a6 6 0 1 0 .01 0z M15 15l5 5",
    "skip": "M6 5 15 12 6 19z M18 5v14",
    "stop": "M6 6h12v12H6z",
    "sun": "M12 8a4 4 0 1 0 .01 0z M12 2.5v2 M12 19.5v2 M2.5 12h2 M19.5 12h2 M5.3 5.3l1.4 1.4 "
    "M17.3 17.3l1.4 1.4 M5.3 18.7l1.4-1.4 M17.3 6.7l1.4-1.4",
    "twin": "M4 7h9v9H4z M11 8V4h9v9h-4",
    "undo": "M9 6 4 11l5 5 M4 11h10a5 5 0 0 1 0 9h-2",
}
