"""Credentials of this world: tokens that are worth nothing."""

from types import SimpleNamespace


class _Credential:
    def get_token(self, *scopes):
        return SimpleNamespace(token="not-a-token", expires_on=4102444800)


def az_connect(auth_methods=None, silent=False):
    return SimpleNamespace(modern=_Credential(), legacy=_Credential())
