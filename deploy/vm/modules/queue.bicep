// The queue of incidents and its poison queue, in a storage account that exists, and what a manager may do with them: take
// messages, lease them anew and delete them (Storage Queue Data Contributor: renewing a lease is a write), and put what nobody
// can work on into the poison queue (Storage Queue Data Message Sender).
param principalId string
param accountName string
param queueName string

var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var queueDataMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName

  resource queues 'queueServices' existing = {
    name: 'default'

    resource incidents 'queues' = {
      name: queueName
    }

    resource poison 'queues' = {
      name: '${queueName}-poison'
    }
  }
}

resource take 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account::queues::incidents
  name: guid(account::queues::incidents.id, principalId, queueDataContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
  }
}

resource park 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account::queues::poison
  name: guid(account::queues::poison.id, principalId, queueDataMessageSender)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataMessageSender)
  }
}
