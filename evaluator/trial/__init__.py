"""A trial: detectors trained, or predictions given, and evaluated on test sets.

``command`` is ``evaluator run``, ``outside`` is ``evaluator judge``, ``data`` opens training data
and test sets and keeps them apart, ``judging`` scores the predictions of a trial, ``results`` joins
seeds and writes files, and ``report`` draws the page.
"""
