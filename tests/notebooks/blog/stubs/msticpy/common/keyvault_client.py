"""A vault that holds every secret, each of them worthless."""


class BHKeyVaultClient:
    def __init__(self, tenant_id=None, vault_name=None):
        self.vault_name = vault_name

    def get_secret(self, secret_name):
        return "not-a-key"
