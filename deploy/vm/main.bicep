// A virtual machine that runs `rnbexec manager watch` under its own managed identity, with no way in from the network and no
// more rights than it needs. See ../README.md. azuredeploy.json beside this file is the same deployment as an ARM template.
targetScope = 'resourceGroup'

@description('Where the machine stands.')
param location string = resourceGroup().location

@description('The machine\'s name; what belongs to it is named after it.')
@minLength(1)
@maxLength(48)
param name string = 'rnbexec-manager'

@description('The machine\'s size: 8 GiB of memory and two processors do for four notebooks at a time. x86-64, generation 2.')
param vmSize string = 'Standard_D2s_v5'

@description('The account for people, reached through Bastion or the serial console.')
param adminUsername string = 'azureuser'

@description('The SSH public key of that account.')
param sshPublicKey string

@description('The id of a subnet that exists and lets the machine reach Azure and a package index; empty: a network of its own is made, with a NAT gateway for the way out.')
param subnetId string = ''

@description('The addresses of the network that is made.')
param addressPrefix string = '10.60.0.0/24'

@description('The https address of the rnbexec program for Linux on x86-64.')
param binaryUrl string

@description('The SHA-256 digest of the program, in hex.')
@minLength(64)
@maxLength(64)
param binarySha256 string

@description('The storage account of a private blob that the program is fetched from, in this resource group; empty: the address needs no credentials.')
param binaryAccount string = ''

@description('The container of that blob.')
param binaryContainer string = 'rnbexec'

@description('The subscription of the Sentinel workspace.')
param sentinelSubscriptionId string = subscription().subscriptionId

@description('The resource group of the Sentinel workspace.')
param sentinelResourceGroup string

@description('The name of the Sentinel workspace (Log Analytics).')
param sentinelWorkspace string

@description('Whether Sentinel is asked for incidents, or a storage queue names them.')
@allowed([
  'sentinel'
  'queue'
])
param source string = 'sentinel'

@description('The resource group of the queue\'s storage account.')
param queueResourceGroup string = resourceGroup().name

@description('The storage account of the queue; needed if source is queue.')
param queueAccount string = ''

@description('The queue of incidents.')
param queueName string = 'incidents'

@description('Where executed notebooks go: the Notebooks tab of an Azure ML workspace, or a blob container.')
@allowed([
  'workspace'
  'blob'
])
param publishTo string = 'workspace'

@description('The subscription of the Azure ML workspace and of its storage account.')
param mlSubscriptionId string = subscription().subscriptionId

@description('The resource group of the Azure ML workspace.')
param mlResourceGroup string = resourceGroup().name

@description('The Azure ML workspace; needed if publishTo is workspace.')
param mlWorkspace string = ''

@description('The resource group of the workspace\'s storage account.')
param mlStorageResourceGroup string = mlResourceGroup

@description('The workspace\'s storage account, for the role on it; needed if publishTo is workspace and no account key is used.')
param mlStorageAccount string = ''

@description('The resource group of the blob container.')
param blobResourceGroup string = resourceGroup().name

@description('The storage account of the blob container; needed if publishTo is blob.')
param blobAccount string = ''

@description('The blob container, which must exist.')
param blobContainer string = 'triage'

@description('The resource group of the Key Vault.')
param vaultResourceGroup string = resourceGroup().name

@description('A Key Vault that holds the account key of the workspace\'s storage; only where a token cannot be used for it.')
param vaultName string = ''

@description('The name of the secret with that account key.')
param vaultSecret string = ''

var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var blobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var withKey = publishTo == 'workspace' && !empty(vaultName)
var ownNetwork = empty(subnetId)
var clouds = {
  AzureCloud: 'public'
  AzureUSGovernment: 'government'
  AzureChinaCloud: 'china'
}

// ---- What the machine is told ----

var settings = [
  '# Written when the machine was deployed. After a change: systemctl restart rnbexec-manager'
  '[azure]'
  'cloud = "${clouds[environment().name]}"'
  'tenant = "${tenant().tenantId}"'
  'credentials = ["msi"]'
  '[sentinel]'
  'subscription = "${sentinelSubscriptionId}"'
  'resource_group = "${sentinelResourceGroup}"'
  'workspace = "${sentinelWorkspace}"'
  '[state]'
  'folder = "/var/lib/rnbexec-manager"'
  '[log]'
  'file = "/var/lib/rnbexec-manager/notebook_execution.log"'
  '[source]'
  'kind = "${source}"'
]
var queueSettings = [
  '[source.queue]'
  'account = "${queueAccount}"'
  'queue = "${queueName}"'
]
var workspaceSettings = [
  '[publish]'
  'to = "workspace"'
  '[publish.workspace]'
  'subscription = "${mlSubscriptionId}"'
  'resource_group = "${mlResourceGroup}"'
  'name = "${mlWorkspace}"'
]
var keySettings = [
  'account_key = "vault:${vaultName}/${vaultSecret}"'
]
var blobSettings = [
  '[publish]'
  'to = "blob"'
  '[publish.blob]'
  'url = "https://${blobAccount}.blob.${environment().suffixes.storage}/${blobContainer}"'
]
var managerToml = join(
  concat(
    settings,
    source == 'queue' ? queueSettings : [],
    publishTo == 'workspace' ? workspaceSettings : blobSettings,
    withKey ? keySettings : [],
    ['']
  ),
  '\n'
)
var installConf = '${binaryUrl}\n${binarySha256}\n${empty(binaryAccount) ? 'anonymous' : 'identity'}\n'
var cloudInit1 = replace(loadTextContent('cloud-init.yaml'), '@{managerToml}', base64(managerToml))
var cloudInit2 = replace(cloudInit1, '@{installConf}', base64(installConf))
var cloudInit3 = replace(cloudInit2, '@{installScript}', loadFileAsBase64('install.sh'))
var cloudInit4 = replace(cloudInit3, '@{account}', loadFileAsBase64('../systemd/rnbexec.conf'))
var cloudInit = replace(cloudInit4, '@{service}', loadFileAsBase64('../systemd/rnbexec-manager.service'))

// ---- The network: nothing comes in ----

resource guard 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-nsg'
  location: location
  properties: {
    securityRules: [
      {
        name: 'DenyAllInbound'
        properties: {
          description: 'Before the default rule that lets the virtual network in.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// The address of the way out; nothing listens on it.
resource exitAddress 'Microsoft.Network/publicIPAddresses@2024-05-01' = if (ownNetwork) {
  name: '${name}-nat-ip'
  location: location
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

resource exit 'Microsoft.Network/natGateways@2024-05-01' = if (ownNetwork) {
  name: '${name}-nat'
  location: location
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: exitAddress.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = if (ownNetwork) {
  name: '${name}-vnet'
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
    subnets: [
      {
        name: 'manager'
        properties: {
          addressPrefix: addressPrefix
          defaultOutboundAccess: false
          natGateway: {
            id: exit.id
          }
          networkSecurityGroup: {
            id: guard.id
          }
        }
      }
    ]
  }
}

resource card 'Microsoft.Network/networkInterfaces@2024-05-01' = {
  name: '${name}-nic'
  location: location
  properties: {
    networkSecurityGroup: {
      id: guard.id
    }
    ipConfigurations: [
      {
        name: 'private'
        properties: {
          privateIPAllocationMethod: 'Dynamic'
          subnet: {
            id: ownNetwork ? resourceId('Microsoft.Network/virtualNetworks/subnets', '${name}-vnet', 'manager') : subnetId
          }
        }
      }
    ]
  }
  dependsOn: [
    network
  ]
}

// ---- The machine ----

resource machine 'Microsoft.Compute/virtualMachines@2024-07-01' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    hardwareProfile: {
      vmSize: vmSize
    }
    storageProfile: {
      imageReference: {
        publisher: 'Canonical'
        offer: 'ubuntu-24_04-lts'
        sku: 'server'
        version: 'latest'
      }
      osDisk: {
        createOption: 'FromImage'
        deleteOption: 'Delete'
        diskSizeGB: 64
        managedDisk: {
          storageAccountType: 'StandardSSD_LRS'
        }
      }
    }
    osProfile: {
      computerName: name
      adminUsername: adminUsername
      customData: base64(cloudInit)
      linuxConfiguration: {
        disablePasswordAuthentication: true
        ssh: {
          publicKeys: [
            {
              path: '/home/${adminUsername}/.ssh/authorized_keys'
              keyData: sshPublicKey
            }
          ]
        }
        patchSettings: {
          patchMode: 'AutomaticByPlatform'
          assessmentMode: 'AutomaticByPlatform'
        }
      }
    }
    securityProfile: {
      securityType: 'TrustedLaunch'
      uefiSettings: {
        secureBootEnabled: true
        vTpmEnabled: true
      }
    }
    networkProfile: {
      networkInterfaces: [
        {
          id: card.id
          properties: {
            deleteOption: 'Delete'
          }
        }
      ]
    }
    // The serial console needs it.
    diagnosticsProfile: {
      bootDiagnostics: {
        enabled: true
      }
    }
  }
}

// ---- What it may do ----

module sentinelRole 'modules/sentinel.bicep' = {
  name: '${name}-sentinel-role'
  scope: resourceGroup(sentinelSubscriptionId, sentinelResourceGroup)
  params: {
    principalId: machine.identity.principalId
    workspaceName: sentinelWorkspace
  }
}

module machineLearningRole 'modules/machine-learning.bicep' = if (publishTo == 'workspace') {
  name: '${name}-ml-role'
  scope: resourceGroup(mlSubscriptionId, mlResourceGroup)
  params: {
    principalId: machine.identity.principalId
    workspaceName: mlWorkspace
  }
}

module shareRole 'modules/share.bicep' = if (publishTo == 'workspace' && !withKey) {
  name: '${name}-share-role'
  scope: resourceGroup(mlSubscriptionId, mlStorageResourceGroup)
  params: {
    principalId: machine.identity.principalId
    accountName: mlStorageAccount
  }
}

module secretRole 'modules/secret.bicep' = if (withKey) {
  name: '${name}-secret-role'
  scope: resourceGroup(vaultResourceGroup)
  params: {
    principalId: machine.identity.principalId
    vaultName: vaultName
    secretName: vaultSecret
  }
}

module containerRole 'modules/container.bicep' = if (publishTo == 'blob') {
  name: '${name}-container-role'
  scope: resourceGroup(blobResourceGroup)
  params: {
    principalId: machine.identity.principalId
    accountName: blobAccount
    containerName: blobContainer
    roleId: blobDataContributor
  }
}

module queueRole 'modules/queue.bicep' = if (source == 'queue') {
  name: '${name}-queue-role'
  scope: resourceGroup(queueResourceGroup)
  params: {
    principalId: machine.identity.principalId
    accountName: queueAccount
    queueName: queueName
  }
}

module binaryRole 'modules/container.bicep' = if (!empty(binaryAccount)) {
  name: '${name}-binary-role'
  params: {
    principalId: machine.identity.principalId
    accountName: binaryAccount
    containerName: binaryContainer
    roleId: blobDataReader
  }
}

@description('The managed identity, for roles that the notebooks need beyond these.')
output principalId string = machine.identity.principalId
