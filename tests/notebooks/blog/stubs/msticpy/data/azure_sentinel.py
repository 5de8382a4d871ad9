"""Sentinel's REST interface as msticpy 1.x wraps it."""

import blog_world


class AzureSentinel:
    def connect(self, *args, **kwargs):
        self.connected = True

    def get_incidents(self, sub_id, res_grp, ws_name):
        incidents = (bundle["incident"] for bundle in blog_world.bundles())
        return blog_world.Frame({"name": incident["name"], **incident["properties"]} for incident in incidents)

    def post_comment(self, incident_id, comment, sub_id, res_grp, ws_name):
        blog_world.kept("comments", {"incident": incident_id, "message": comment})

    def update_incident(self, incident_id, update_items, sub_id, res_grp, ws_name):
        blog_world.kept("updates", {"incident": incident_id, "properties": update_items})
