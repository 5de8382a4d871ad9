"""Threat intelligence: what `blog_world.KNOWN` says."""

import blog_world


class TILookup:
    def __init__(self, *args, **kwargs):
        self.loaded_providers = {"World": self}

    def lookup_iocs(self, data, ioc_query_type=None, **kwargs):
        rows = [
            {"Ioc": ioc, "IocType": ioc_type, "Provider": "World", "Severity": blog_world.KNOWN.get(ioc, "information")}
            for ioc, ioc_type in data.items()
        ]
        return blog_world.Frame(rows)
