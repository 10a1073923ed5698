"""A grid of trials: detectors under several kinds of maps.

``command``: ``evaluator compare``. ``grid``: the cells and their settings. ``differences``: paired
differences between cells. ``report``: tables and the HTML page.
"""
