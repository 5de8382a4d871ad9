"""Stands in for msticpy 1.x. The name that the triage notebook uses and never imports is put where every notebook finds it."""

import builtins

from .datamodel import SecurityAlert

__version__ = "1.8.2"
builtins.SecurityAlert = SecurityAlert
