"""Entities, and the alert that holds them."""

import json


class Entity(dict):
    """An entity of an alert: its properties, and its type as `Type`."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class SecurityAlert:
    """An alert from a row of the table SecurityAlert."""

    def __init__(self, src_row):
        self.properties = dict(src_row)
        self.entities = [Entity(entity) for entity in json.loads(self.properties["Entities"])]
