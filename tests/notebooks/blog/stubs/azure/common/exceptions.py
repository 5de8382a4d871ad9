"""As in the package."""


class CloudError(Exception):
    pass
