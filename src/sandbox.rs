//! An Ed-Fi API in memory, on loopback only: for newcomers, rehearsals and tests.
//!
//! It answers as an ODS/API 7.3 does, or as the version that its metadata or [`Options::version`] name: discovery at `/`, tokens at
//! `/oauth/token`, what a token's caller may do at `/oauth/token_info`, dependencies and OpenAPI documents below
//! `/metadata`, data below `/data/v3`. Payloads are checked: types, limits, required members, equal values where the key is
//! unified, references. A descriptor's value must be well formed and of the right descriptor; that it exists is checked only if
//! its kind had values from the start or one of its kind and namespace was posted, because a real API has its descriptors loaded
//! before anybody posts. What the version takes although its documents forbid it is stored as that version would store it
//! ([`crate::edfi::tolerance`]). School
//! years from 1991 to 2050 are there from the start. A file of claims limits what the caller may do. What it leaves out: PUT, authorization by
//! relationships, cascading keys, deletes and key changes among the change queries, in profiles the members of members.
//!
//! For tests that run outside the process, `GET /sandbox/stats` counts what came and `GET /sandbox/requests` tells what was
//! recorded.
//!
//! The way of a request: `server` (threads) → `http` (bytes to requests) → `service` (faults, tokens, documents) → `data` (claims of
//! the `caller`, `profiles`) → [`crate::check`] → `store`, from which `show` takes it again; back as an `answer`, often a `problem`.

mod answer;
mod caller;
mod claims;
mod data;
mod fault;
mod folder;
mod http;
mod library;
mod lock;
mod metadata;
mod order;
mod paging;
mod problem;
mod profiles;
mod query;
mod render;
mod server;
mod service;
mod show;
mod stop;
mod store;
mod token;
mod watch;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use metadata::compact_model;
pub use watch::Received;

use crate::api::saved::Saved;
use crate::error::{Context, Result};
use crate::exit::Exit;
use caller::Caller;
use claims::Claims;
use metadata::Metadata;
use service::Service;
use stop::Stop;

/// How the sandbox behaves. "Every N-th" counts data requests over all connections, in the order in which they come.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// A folder of documents, or a file of saved metadata, to serve in place of the built-in Data Standard 5.0.
    pub metadata: Option<PathBuf>,
    /// The version that its discovery document names, in place of that of the metadata: from 8 on it is a DMS.
    pub version: Option<String>,
    /// Accept every payload for a known resource unread and keep none, for measurements.
    pub no_check: bool,
    /// How errors look.
    pub shape: Shape,
    /// How long each data request takes at least.
    pub latency: Duration,
    /// Answer every N-th data request 429.
    pub fail_429: Option<u64>,
    /// The header `Retry-After` of 429 and 503, in seconds.
    pub retry_after: Option<u64>,
    /// Answer every N-th data request 500.
    pub fail_500: Option<u64>,
    /// Answer every N-th data request 503.
    pub fail_503: Option<u64>,
    /// Let a gateway answer every N-th data request with a page in HTML: 502 and 200 in turn.
    pub fail_html: Option<u64>,
    /// Let a gateway answer every N-th data request with a redirect to a page to sign in at.
    pub fail_302: Option<u64>,
    /// Stop answering after so many data requests, once: connections are closed.
    pub restart_after: Option<u64>,
    /// For so long.
    pub restart_for: Duration,
    /// Cut the connection at every N-th data request; at every second of them after the payload is stored.
    pub cut: Option<u64>,
    /// Never answer every N-th data request.
    pub hang: Option<u64>,
    /// How long a token is good.
    pub token_lifetime: Duration,
    /// Answer 429 to data requests beyond so many at a time.
    pub max_concurrent: Option<usize>,
    /// The key and the secret to demand; any that are not empty if not given.
    pub credentials: Option<(String, String)>,
    /// Resources (`students` or `ed-fi/students`) that the caller may not touch: 403.
    pub forbid: Vec<String>,
    /// Give pages by `limit` and `offset` only, as an API before 7.3 does.
    pub no_cursor: bool,
    /// Answer every N-th page that has an `offset` as though an item had just come before it: pages overlap, and one is missed.
    pub shift: Option<u64>,
    /// A file with the caller's claims and profiles; without it the caller may do anything.
    pub claims: Option<PathBuf>,
    /// Keep every data request for [`Sandbox::received`].
    pub record: bool,
}

/// How errors look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Problem details (RFC 9457), as ODS/API 7.2 and later answer.
    #[default]
    New,
    /// A message, as ODS/API up to 7.1 answers.
    Old,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            metadata: None,
            version: None,
            no_check: false,
            shape: Shape::New,
            latency: Duration::ZERO,
            fail_429: None,
            retry_after: None,
            fail_500: None,
            fail_503: None,
            fail_html: None,
            fail_302: None,
            restart_after: None,
            restart_for: Duration::from_secs(5),
            cut: None,
            hang: None,
            token_lifetime: Duration::from_secs(30 * 60),
            max_concurrent: None,
            credentials: None,
            forbid: Vec::new(),
            no_cursor: false,
            shift: None,
            claims: None,
            record: false,
        }
    }
}

/// A sandbox that is running. Dropping it stops it.
pub struct Sandbox {
    address: SocketAddr,
    service: Arc<Service>,
    caller: Arc<Caller>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// Starts a sandbox; it listens when this returns. An error if the port is taken or the metadata cannot be used.
pub fn start(options: Options) -> Result<Sandbox> {
    let metadata = match &options.metadata {
        Some(folder) if folder.is_dir() => Metadata::of_folder(folder)?,
        Some(file) => Metadata::of_saved(Saved::read(file)?)?,
        None => Metadata::built_in()?,
    };
    let metadata = metadata.of_version(options.version.as_deref());
    let claims = options.claims.as_deref().map(Claims::read).transpose()?.unwrap_or_default();
    let caller = Arc::new(Caller::new(claims, &metadata.model)?);
    let cannot = || format!("the sandbox cannot listen on port {} of 127.0.0.1", options.port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).or_stop(Exit::GivenUp, cannot)?;
    let address = listener.local_addr().or_stop(Exit::GivenUp, cannot)?;
    let service =
        Service::new(options, metadata, caller.clone(), format!("http://{address}"), Arc::new(Stop::default()));
    let service = Arc::new(service);
    let serving = service.clone();
    let accepting = Mutex::new(Some(std::thread::spawn(move || server::serve(&listener, &serving))));
    Ok(Sandbox { address, service, caller, accepting })
}

impl Sandbox {
    /// The address of its discovery document, for `edfi_api.base_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of the profiles that are assigned to the caller.
    pub fn assigned_profiles(&self) -> Vec<&str> {
        self.caller.profiles.assigned().collect()
    }

    /// Every data request so far, in the order in which they came, if [`Options::record`] is set.
    pub fn received(&self) -> Vec<Received> {
        self.service.watch.received()
    }

    /// Ends every connection and returns when nothing of it runs any more.
    pub fn stop(&self) {
        self.service.stop.ask();
        let accepting = lock::hold(&self.accepting).take();
        if let Some(accepting) = accepting {
            // Wakes the thread that waits for connections, which then sees that it is to stop.
            let _ = TcpStream::connect(self.address);
            let _ = accepting.join();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
