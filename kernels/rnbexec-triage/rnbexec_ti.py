"""A threat-intelligence provider for msticpy that asks a table instead of the network, as msticpy then does for public suffixes.

The table has the columns of Sentinel's `ThreatIntelligenceIndicator` (or a part of them): `NetworkIP`, `DomainName`, `Url`,
`FileHashValue`, `ThreatType`, `ConfidenceScore`, `Description`, `ExpirationDateTime`, `IndicatorProvider`.

    provider = TableTI(pandas.read_csv("threat_intel.csv", dtype=str, keep_default_na=False))
    provider.lookup_iocs(["198.51.100.7"])                              # alone: imports nothing that needs seconds
    TILookup(primary_providers=[provider, …]).lookup_iocs(...)          # among msticpy's own
"""

from urllib.parse import urlsplit

import pandas as pd
import tldextract.tldextract
from msticpy.context.tiproviders.result_severity import ResultSeverity
from msticpy.context.tiproviders.ti_provider_base import TIProvider

# By the public suffixes msticpy tells domains from other words with dots. Not fetched: the list that comes with the package will do. Read
# here already, so that a forked kernel has it.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
tldextract.extract("example.org")

ADDRESSES = ("NetworkIP", "NetworkSourceIP", "NetworkDestinationIP")
RESULT = ("Ioc", "IocType", "SafeIoc", "QuerySubtype", "Provider", "Result", "Severity", "Details", "RawResult", "Reference", "Status")


class TableTI(TIProvider):
    """Indicators in a table."""

    _QUERIES = {kind: None for kind in ("ipv4", "ipv6", "dns", "hostname", "url", "file_hash", "md5_hash", "sha1_hash", "sha256_hash")}

    def __init__(self, indicators):
        super().__init__()
        self.description = f"a table of {len(indicators)} indicators"
        self._known = {}
        rows = [dict(zip(indicators, row)) for row in zip(*(indicators[column].tolist() for column in indicators))]
        for row in rows:
            for column in (*ADDRESSES, "DomainName", "Url", "FileHashValue"):
                if row.get(column):
                    self._known.setdefault(self._key(row[column]), row)
        # A listed URL says something of its host too, if nothing better is known of that.
        for row in rows:
            host = self._host(row.get("Url") or "")
            if host:
                self._known.setdefault(host, {**row, "Description": f"host of a listed URL: {row.get('Description', '')}"})

    def __len__(self):
        return len(self._known)

    @staticmethod
    def _key(value):
        return str(value).strip().lower().rstrip("/")

    @staticmethod
    def _host(url):
        try:
            return (urlsplit(url).hostname or "").lower()
        except ValueError:  # a bracket without an address
            return ""

    def lookup_ioc(self, ioc, ioc_type=None, query_type=None, **_):
        found = self._known.get(self._key(ioc))
        hit, severity, details = self.parse_results({"row": found})
        return pd.DataFrame([{
            "Ioc": ioc, "IocType": ioc_type, "SafeIoc": ioc, "QuerySubtype": query_type, "Provider": self.name, "Result": hit,
            "Severity": severity.name, "Details": details, "RawResult": found, "Reference": None, "Status": 0,
        }], columns=RESULT)

    def lookup_iocs(self, data, ioc_col=None, ioc_type_col=None, query_type=None, **_):
        if isinstance(data, pd.DataFrame):
            pairs = zip(data[ioc_col or data.columns[0]], data[ioc_type_col] if ioc_type_col else [None] * len(data))
        else:
            pairs = data.items() if isinstance(data, dict) else ((item, None) for item in data)
        rows = [self.lookup_ioc(item, kind, query_type) for item, kind in pairs]
        return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=RESULT)

    lookup_items = lookup_iocs

    def parse_results(self, response):
        row = response.get("row")
        if not row:
            return False, ResultSeverity.information, "not listed"
        try:
            score = float(row.get("ConfidenceScore") or 0)
        except ValueError:
            score = 0.0
        severity = ResultSeverity.high if score >= 70 else ResultSeverity.warning
        details = {
            "threat": row.get("ThreatType", ""), "confidence": score, "description": row.get("Description", ""),
            "expires": row.get("ExpirationDateTime", ""), "listed by": row.get("IndicatorProvider", ""),
        }
        return True, severity, details
