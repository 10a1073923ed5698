"""A trial: detectors trained, or predictions given, and evaluated on test sets.

``command`` is ``evaluator run``, ``data`` opens training data and test sets and keeps them apart,
``results`` joins seeds and writes files, and ``report`` draws the page.
"""
