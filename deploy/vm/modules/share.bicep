// Lets a manager write notebooks to the file shares of one storage account: Storage File Data Privileged Contributor. Azure
// has no smaller role for writing files with a token over REST, and none for a single share.
param principalId string
param accountName string

var fileDataPrivilegedContributor = '69566ab7-960f-475b-8e7c-b3118f30c6bd'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, fileDataPrivilegedContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', fileDataPrivilegedContributor)
  }
}
