"""Registrations: nobody registered anything in this world."""


def whois(domain):
    return {"domain_name": domain, "registrar": None}
