"""``focus app``: ``focus look`` as a page on this machine, for a browser.

``options`` (flags), ``examining`` (a file in, the report of ``focus look`` out), ``about`` (words
beside the result), ``interface`` (the Gradio page), ``command`` (serve it). Gradio is optional.
"""
