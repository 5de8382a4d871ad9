"""Notebooklets: the three that the triage notebook runs, each of which only says that it ran."""

from types import SimpleNamespace


class _Notebooklet:
    def run(self, value=None, timespan=None, **kwargs):
        return SimpleNamespace(value=value, timespan=timespan)


def init(query_provider=None, **kwargs):
    """Needs a provider, as the real one does."""
    if query_provider is None:
        raise ValueError("a query provider is needed")


nblts = SimpleNamespace(
    azsent=SimpleNamespace(
        network=SimpleNamespace(IpAddressSummary=_Notebooklet),
        account=SimpleNamespace(AccountSummary=_Notebooklet),
        host=SimpleNamespace(HostSummary=_Notebooklet),
    )
)
