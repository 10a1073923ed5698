"""Scoring of maps and scores against ground truth.

``command``: ``evaluator score``. ``coverage``: faces with and without a prediction. ``measure``:
read truth masks and compare maps with them. ``faces``: the evaluated faces and their metrics.
``regions``: compare maps with labels of face regions. ``summary``: a result as text.
"""
