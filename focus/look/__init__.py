"""``focus look``: faces, maps and verdicts of photographs and clips, and a page to open.

``options`` (flags), ``command``, ``inputs`` (which files, and where results go), ``drawing``
(NAME.focus.png), ``clip`` (NAME.focus.mp4), ``page`` (the HTML page).
"""
