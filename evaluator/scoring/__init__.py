"""Maps and scores against the truth.

``command`` is ``evaluator score``, ``coverage`` finds which faces have a prediction, ``measure``
reads truth masks and compares maps with them, ``faces`` holds the evaluated faces and their
metrics, ``regions`` compares maps with labels of face regions, and ``summary`` formats a result for
a terminal.
"""
