"""Resource Manager, for the one resource that is asked for: the Azure ML workspace."""

from types import SimpleNamespace


class _Resources:
    def get(self, group, provider_namespace, resource_type, parent, name, api_version):
        account = f"/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/contosoml"
        return SimpleNamespace(properties={"storageAccount": account})


class ResourceManagementClient:
    def __init__(self, credential, subscription_id):
        self.resources = _Resources()
