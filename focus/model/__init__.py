"""A trained model for any photograph: faces, scores, verdicts and maps.

``faces`` (the model and its results), ``quality`` (can this face be judged), ``verdicts``,
``clips`` (videos), ``calibration`` and ``packing`` (make a released model of a run).
"""
