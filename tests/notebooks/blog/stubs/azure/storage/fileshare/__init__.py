"""Azure Files: shares are folders of the effects."""

import blog_world


class ShareServiceClient:
    def __init__(self, account_url, credential=None):
        self.account_url = account_url

    def list_shares(self):
        return iter([{"name": "azureml-filestore-1"}, {"name": "code-391ff5ac-6576-460f-ba4d-7e03433c68b6"}])


class ShareFileClient:
    def __init__(self, account_url, share_name, file_path, credential=None):
        self.path = blog_world.EFFECTS / share_name / file_path

    def upload_file(self, data):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(data, "utf-8")
