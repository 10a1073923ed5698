"""A trial: train detectors, or take predictions, and evaluate them on test sets.

``command``: ``evaluator run``. ``outside``: ``evaluator judge``. ``data``: training data and test
sets, and checks that they are disjoint. ``judging``: score the predictions of a trial. ``results``:
aggregate seeds and write files. ``report``: the HTML page.
"""
