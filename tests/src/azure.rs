//! The simulated Azure: one stateful server on loopback that plays every service the manager talks to, as strictly as Azure does.
//!
//! [`SimulatedAzure::start`] serves on a free port, on threads of its own, until the value is dropped. All of [`Azure`]'s methods are
//! there on it: what exists, what was asked, what goes wrong, what somebody else does meanwhile.
//!
//! | path | service |
//! |---|---|
//! | `/{tenant}/oauth2/v2.0/token` | login, by secret, certificate (the signature is not checked) or federated token |
//! | `/metadata/identity/oauth2/token`, `/msi/token`, `/aml/msi/token` | managed identity of a machine, App Service, Azure ML |
//! | `/subscriptions/…` | Resource Manager: Sentinel, Log Analytics, Azure ML, storage, permissions |
//! | `/{account}/{share}/…`, `/{share}/…` | Azure Files |
//! | `/secrets/…` | Key Vault |
//! | `/v1/workspaces/{id}/query` | Log Analytics queries |
//!
//! Blob and Queue are not played: Azurite is real ([`Server::azurite`](crate::servers::Server::azurite)).
//!
//! A panic while a request is served fails the test that holds the value. Facts: the public REST specification; what it leaves
//! open is played in the way that is harder on a client (a comment changes the incident's etag, what an update leaves out is
//! reset).

mod access;
mod arm;
mod call;
mod clock;
mod fault;
mod files;
mod filter;
mod hooks;
mod identity;
mod journal;
mod key_vault;
mod logs;
mod matching;
pub mod names;
mod paging;
mod sentinel;
mod server;
mod settings;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

pub use fault::Fault;
pub use journal::Entry;
pub use matching::On;
pub use settings::Settings;

use clock::{Clock, stamp};
use hooks::{Hook, Moment};
use world::World;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plane {
    /// Entra ID.
    Login,
    /// The endpoints on a machine that give tokens of its identity.
    ManagedIdentity,
    /// Resource Manager with all its providers, Sentinel among them.
    ResourceManager,
    /// Azure Files.
    Files,
    /// Key Vault.
    KeyVault,
    /// Log Analytics.
    Logs,
}

/// The server, gone with the value.
#[derive(Debug)]
pub struct SimulatedAzure {
    azure: Azure,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl SimulatedAzure {
    /// Serves on a free port of loopback. There are no incidents yet.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start() -> Self {
        Self::on_port(0)
    }

    /// Serves on this port of loopback.
    ///
    /// # Panics
    /// When it is taken.
    pub fn on_port(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .unwrap_or_else(|error| panic!("cannot listen on port {port} of loopback: {error}"));
        listener.set_nonblocking(true).expect("a new listener takes options");
        let address = listener.local_addr().expect("a bound listener has an address");
        let azure = Azure(Arc::new(Mutex::new(World::new(format!("http://{address}")))));
        let (stop, stopped) = oneshot::channel();
        let serving = thread::spawn({
            let azure = azure.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .expect("a runtime can be made");
                runtime.block_on(server::serve(azure, listener, stopped));
                // A hook may still wait for something that a failed test never does.
                runtime.shutdown_background();
            }
        });
        Self { azure, stop: Some(stop), serving: Some(serving) }
    }
}

impl Deref for SimulatedAzure {
    type Target = Azure;

    fn deref(&self) -> &Azure {
        &self.azure
    }
}

impl Drop for SimulatedAzure {
    fn drop(&mut self) {
        // Without its sender the channel says stop.
        drop(self.stop.take());
        let served = self.serving.take().map(JoinHandle::join);
        if thread::panicking() {
            return;
        }
        if let Some(Err(_)) = served {
            panic!("the simulated Azure panicked");
        }
        let panics = std::mem::take(&mut self.azure.world().panics);
        assert!(panics.is_empty(), "{panics:?}");
    }
}

/// The simulated Azure as tests and their hooks use it.
#[derive(Debug, Clone)]
pub struct Azure(Arc<Mutex<World>>);

/// Where it is, and what time it is there.
impl Azure {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no request made the simulation panic")
    }

    /// `http://127.0.0.1:port`: the address of all its services.
    pub fn url(&self) -> String {
        self.world().url.clone()
    }

    /// What points a client at it.
    pub fn settings(&self) -> Settings {
        Settings::new(&self.url())
    }

    /// The time that it stamps incidents, comments and files with. Tokens live by the system's clock.
    pub fn now(&self) -> Timestamp {
        self.world().clock.now()
    }

    /// Sets the time, which stands still from then on.
    pub fn set_now(&self, at: Timestamp) {
        self.world().clock = Clock::Standing(at);
    }

    /// Moves the time.
    pub fn advance(&self, by: SignedDuration) {
        self.world().clock.advance(by);
    }
}

/// Sentinel.
impl Azure {
    /// Takes incidents in: bundles `{"incident", "entities", "alerts"}`, also `"bookmarks"`.
    ///
    /// # Panics
    /// When one has no id or name, or is there already.
    pub fn seed_bundles(&self, bundles: impl IntoIterator<Item = Value>) {
        let mut world = self.world();
        for bundle in bundles {
            world.sentinel.seed(&bundle);
        }
    }

    /// Takes in the first of the shipped incidents, at most this many. Gives their names.
    ///
    /// # Panics
    /// When the shipped data cannot be read.
    pub fn seed_shipped(&self, most: usize) -> Vec<String> {
        let path = crate::oracle::workspace().join("notebooks/data/sentinel/incidents_derived.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let mut bundles: Vec<Value> = serde_json::from_slice(&text).expect("the shipped incidents are JSON");
        bundles.truncate(most);
        let name = |bundle: &Value| bundle["incident"]["name"].as_str().unwrap_or_default().to_owned();
        let named = bundles.iter().map(name).collect();
        self.seed_bundles(bundles);
        named
    }

    /// An incident as a client would get it now.
    ///
    /// # Panics
    /// When there is none of this name.
    #[track_caller]
    pub fn incident(&self, name: &str) -> Value {
        self.of_incident(name, |incident| incident.body.clone())
    }

    /// All incidents, in the order in which they came.
    pub fn incidents(&self) -> Vec<Value> {
        self.world().sentinel.incidents.iter().map(|incident| incident.body.clone()).collect()
    }

    /// An incident's comments, in the order in which they were first written.
    ///
    /// # Panics
    /// When there is no incident of this name.
    #[track_caller]
    pub fn comments(&self, name: &str) -> Vec<Value> {
        self.of_incident(name, |incident| incident.comments.clone())
    }

    /// An incident's tasks, in the order in which they were first written.
    ///
    /// # Panics
    /// When there is no incident of this name.
    #[track_caller]
    pub fn tasks(&self, name: &str) -> Vec<Value> {
        self.of_incident(name, |incident| incident.tasks.clone())
    }

    #[track_caller]
    fn of_incident<T>(&self, name: &str, get: impl FnOnce(&sentinel::Incident) -> T) -> T {
        let found = self.world().sentinel.named(name).map(get);
        found.unwrap_or_else(|| panic!("no incident {name}"))
    }

    /// Changes an incident's properties as an analyst in the portal would: with a new etag.
    ///
    /// # Panics
    /// When there is no incident of this name.
    pub fn edit_incident(&self, name: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
        let mut world = self.world();
        let at = stamp(world.clock.now());
        world.sentinel.edit(name, &at, edit);
    }

    /// Writes a comment as an analyst in the portal would.
    ///
    /// # Panics
    /// When there is no incident of this name.
    pub fn comment_as(&self, author: &str, name: &str, message: &str) {
        let mut world = self.world();
        let at = stamp(world.clock.now());
        world.sentinel.comment(name, &at, author, message);
    }

    /// Deletes an incident.
    pub fn remove_incident(&self, name: &str) {
        self.world().sentinel.incidents.retain(|incident| !incident.is_named(name));
    }

    /// The status of a write with a stale etag; at first 409.
    pub fn set_conflict_status(&self, status: u16) {
        self.world().sentinel.conflict = status;
    }

    /// How many items a page has in every list, where a request does not say it.
    pub fn set_page_size(&self, size: usize) {
        self.world().page_size = Some(size);
    }
}

/// Azure Files, Key Vault, Log Analytics.
impl Azure {
    /// All files: `share/path` and content.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let shares = world.files.shares.iter();
        let all = shares.flat_map(|(name, share)| share.entries().map(move |entry| (name, entry)));
        all.filter_map(|(name, entry)| match &entry.node {
            files::Node::Directory => None,
            files::Node::File { bytes, .. } => Some((format!("{name}/{}", entry.path), bytes.clone())),
        })
        .collect()
    }

    /// A file of the share that the studio shows as *Notebooks*.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files().remove(&format!("{}/{path}", names::CODE_SHARE))
    }

    /// Puts a file, with its parents, into the share that the studio shows as *Notebooks*.
    ///
    /// # Panics
    /// When somebody removed that share.
    pub fn put_file(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut world = self.world();
        let now = world.clock.now();
        world.files.shares.get_mut(names::CODE_SHARE).expect("the share is there").plant(
            path,
            bytes.into(),
            now,
        );
    }

    /// The key of the storage account, in base64.
    pub fn account_key(&self) -> String {
        self.world().files.key.clone()
    }

    /// Gives a secret of the vault a new version, whose id is returned.
    pub fn set_secret(&self, name: &str, value: &str) -> String {
        let mut world = self.world();
        let now = world.clock.now();
        world.vault.set(name, value, true, now)
    }

    /// Gives a secret of the vault a version that is disabled.
    pub fn disable_secret(&self, name: &str) {
        let mut world = self.world();
        let now = world.clock.now();
        world.vault.set(name, "", false, now);
    }

    /// Answers every query that contains this text with one table.
    pub fn answer_query(&self, part: &str, columns: &[(&str, &str)], rows: &[Value]) {
        self.world().logs.answer(part, logs::table(columns, rows));
    }
}

/// Identities and what they may do.
impl Azure {
    /// A new token of the service principal for a resource, such as `https://management.azure.com`.
    ///
    /// # Panics
    /// When the tenant has no such resource.
    #[track_caller]
    pub fn token(&self, resource: &str) -> String {
        let issued = self.world().identity.issue(&identity::PRINCIPALS[0], resource);
        issued.unwrap_or_else(|| panic!("no resource {resource}")).text
    }

    /// How long tokens issued from now on live; at first an hour.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.world().identity.lifetime = lifetime;
    }

    /// All tokens issued so far are expired.
    pub fn revoke_tokens(&self) {
        self.world().identity.revoke();
    }

    /// The machine has no managed identity any more.
    pub fn remove_managed_identity(&self) {
        self.world().identity.managed = false;
    }

    /// Nobody may do this any more. `*` stands for anything.
    pub fn deny(&self, action: &str) {
        self.world().access.deny(action);
    }

    /// What was denied is allowed again.
    pub fn allow(&self, action: &str) {
        self.world().access.allow(action);
    }
}

/// What was asked, what goes wrong, what happens between.
impl Azure {
    /// All requests so far.
    pub fn journal(&self) -> Vec<Entry> {
        self.world().journal.clone()
    }

    /// The requests so far that are these.
    pub fn asked(&self, on: &On) -> Vec<Entry> {
        self.world().journal.iter().filter(|entry| on.matches(entry)).cloned().collect()
    }

    /// Forgets what was asked so far.
    pub fn clear_journal(&self) {
        self.world().journal.clear();
    }

    /// Waits until so many of these requests have come.
    ///
    /// # Panics
    /// When they do not come in time.
    #[track_caller]
    pub fn wait_for(&self, on: &On, requests: usize, deadline: Duration) {
        crate::wait_for("requests to the simulated Azure", deadline, || {
            (self.asked(on).len() >= requests).then_some(())
        });
    }

    /// Lets requests meet a fault. Of several that match one request, the first given strikes; latencies add to it.
    pub fn fault(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Whether every fault has struck as often as it should: else a test did not test what it says.
    pub fn faults_are_spent(&self) -> bool {
        self.world().faults.iter().all(Fault::is_spent)
    }

    /// Does something when the n-th of these requests has come, before it has any effect. The first is number one.
    pub fn before(&self, on: On, nth: usize, action: impl FnOnce(&Self) + Send + 'static) {
        self.hook(Moment::Before, on, Some(nth), once(action));
    }

    /// Does something when the n-th of these requests has had its effect, before the answer is sent.
    pub fn after(&self, on: On, nth: usize, action: impl FnOnce(&Self) + Send + 'static) {
        self.hook(Moment::After, on, Some(nth), once(action));
    }

    /// Does something whenever one of these requests has had its effect, before the answer is sent.
    pub fn after_each(&self, on: On, action: impl FnMut(&Self) + Send + 'static) {
        self.hook(Moment::After, on, None, action);
    }

    fn hook(&self, moment: Moment, on: On, nth: Option<usize>, action: impl FnMut(&Self) + Send + 'static) {
        let hook = Hook::new(moment, on, nth, Arc::new(Mutex::new(action)));
        self.world().hooks.push(hook);
    }
}

fn once(action: impl FnOnce(&Azure) + Send + 'static) -> impl FnMut(&Azure) + Send + 'static {
    let mut action = Some(action);
    move |azure| {
        if let Some(action) = action.take() {
            action(azure);
        }
    }
}
