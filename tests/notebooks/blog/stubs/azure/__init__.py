"""Stands in for the Azure SDK."""
