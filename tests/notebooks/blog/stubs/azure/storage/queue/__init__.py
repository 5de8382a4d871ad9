"""Imported and not used: the queue's cell is a comment."""


class QueueServiceClient:
    pass
