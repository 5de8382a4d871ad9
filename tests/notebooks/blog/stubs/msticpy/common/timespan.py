"""A stretch of time."""


class TimeSpan:
    def __init__(self, start=None, end=None):
        self.start, self.end = start, end
