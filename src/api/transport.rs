//! Carries requests to the API and answers back. The only file that names the HTTP client.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use ureq::config::Config as AgentConfig;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

pub use ureq::http;

use self::http::uri::{Authority, Scheme, Uri};
use self::http::{HeaderName, HeaderValue, header};
use super::reply::Reply;
use super::request::Request;
use crate::config::Connection;

/// Whatever came back.
pub type Answer = Result<Reply, Broken>;

/// Something that requests can be handed to. Tests hand in their own.
pub trait Transport: Send + Sync {
    /// Sends one request once, and waits for the answer and its body.
    fn call(&self, request: &Request<'_>) -> Answer;
}

/// Why there was no answer. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What broke.
    pub kind: Kind,
    /// The same in words.
    pub text: String,
}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody listens there, or no way leads there.
    Connect,
    /// The host's name could not be looked up.
    Lookup,
    /// The encrypted connection could not be made or broke.
    Tls,
    /// The host's certificate is not to be trusted.
    Certificate,
    /// The limit of time was reached.
    Timeout,
    /// The connection ended before the answer did, or the answer was not HTTP.
    Cut,
    /// The request itself cannot be sent, such as to a URL without a host.
    Request,
}

impl Broken {
    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        !matches!(self.kind, Kind::Certificate | Kind::Request)
    }
}

/// The real thing: HTTP/1.1 over connections that are kept, one for each worker.
pub struct Http {
    agent: Agent,
}

impl Http {
    /// `base_url` decides whether a proxy that the environment names is used: a host on the loopback never has one.
    pub fn new(connection: &Connection, base_url: &Uri) -> Http {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::WebPki)
            .disable_verification(!connection.verify_ssl)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let limit = Some(connection.timeout);
        let config = AgentConfig::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(connection.pool_size)
            .max_idle_connections_per_host(connection.pool_size)
            .timeout_connect(limit)
            .timeout_recv_response(limit)
            .timeout_global(limit)
            // Two of these buffers a connection; the defaults take 16 MB for 64 workers.
            .input_buffer_size(32 * 1024)
            .output_buffer_size(32 * 1024)
            .max_response_header_size(32 * 1024)
            .user_agent(concat!("lightbeam/", env!("CARGO_PKG_VERSION")))
            .proxy(if is_loopback(base_url) { None } else { Proxy::try_from_env() })
            .tls_config(tls)
            .build();
        Http { agent: Agent::with_parts(config, DefaultConnector::default(), Lookup::default()) }
    }
}

impl Transport for Http {
    fn call(&self, request: &Request<'_>) -> Answer {
        let mut head = http::Request::builder().method(request.method.clone()).uri(request.url.clone());
        let headers: [(HeaderName, &Option<HeaderValue>); 3] = [
            (header::AUTHORIZATION, &request.authorization),
            (header::CONTENT_TYPE, &request.content_type),
            (header::IF_NONE_MATCH, &request.if_none_match),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                head = head.header(name, value);
            }
        }
        let answer = match request.body {
            Some(body) => head.body(body).map_err(ureq::Error::from).and_then(|whole| self.agent.run(whole)),
            None => head.body(()).map_err(ureq::Error::from).and_then(|whole| self.agent.run(whole)),
        };
        answer.and_then(|answer| read(answer, request)).map_err(broken)
    }
}

/// Reads an answer to its end, without which its connection is not used again.
fn read(answer: http::Response<ureq::Body>, request: &Request<'_>) -> Result<Reply, ureq::Error> {
    /// What is read and dropped beyond the part that is kept; for more than that a new connection is cheaper.
    const DROPPED: u64 = 1024 * 1024;
    let (head, body) = answer.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(String::from);
    let mut reply = Reply { status: head.status.as_u16(), ..Reply::default() };
    if request.method == http::Method::GET {
        reply.etag = text(header::ETAG);
    }
    if !reply.accepted() {
        reply.location = text(header::LOCATION);
        reply.retry_after = text(header::RETRY_AFTER);
    }
    let mut reader = body.into_reader();
    reader.by_ref().take(request.keep).read_to_end(&mut reply.body)?;
    io::copy(&mut reader.take(DROPPED), &mut io::sink())?;
    Ok(reply)
}

/// Whether no proxy can lead to the host of this URL.
fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Says what an error of the client means.
fn broken(error: ureq::Error) -> Broken {
    use io::ErrorKind as Io;
    let kind = match &error {
        ureq::Error::Timeout(_) => Kind::Timeout,
        ureq::Error::HostNotFound => Kind::Lookup,
        ureq::Error::Other(e) if e.is::<LookupFailed>() => Kind::Lookup,
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => Kind::Connect,
        ureq::Error::Rustls(e) => tls(e),
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => Kind::Tls,
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => Kind::Request,
        ureq::Error::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => tls(inner),
            None => match e.kind() {
                Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::NetworkDown => Kind::Connect,
                Io::AddrNotAvailable | Io::PermissionDenied => Kind::Connect,
                Io::TimedOut | Io::WouldBlock => Kind::Timeout,
                _ => Kind::Cut,
            },
        },
        _ => Kind::Cut,
    };
    let text = match (kind, error) {
        (Kind::Timeout, ureq::Error::Timeout(ureq::Timeout::Connect)) => "no connection within the timeout".into(),
        (Kind::Timeout, _) => "no answer within the timeout".into(),
        // Without the client's own prefix.
        (_, ureq::Error::Io(error)) => error.to_string(),
        (_, error) => error.to_string(),
    };
    let text = match kind {
        Kind::Certificate => format!("the host's certificate is not to be trusted: {text}"),
        _ => text,
    };
    Broken { kind, text }
}

fn tls(error: &rustls::Error) -> Kind {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Kind::Certificate,
        _ => Kind::Tls,
    }
}

/// Looks up names, and remembers the answer for a while: the client asks before every request, even where it has an
/// open connection, and a look-up with a time limit costs a thread.
#[derive(Debug, Default)]
struct Lookup {
    asked: DefaultResolver,
    known: RwLock<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    scheme: Scheme,
    authority: Authority,
    addresses: ResolvedSocketAddrs,
    since: Instant,
}

impl Lookup {
    /// Hosts move; a new connection notices after this long.
    const REMEMBERED: Duration = Duration::from_secs(60);

    fn remembered(&self, scheme: &Scheme, authority: &Authority) -> Option<ResolvedSocketAddrs> {
        let known = self.known.read().ok()?;
        let entry = known.iter().find(|k| k.scheme == *scheme && k.authority == *authority)?;
        (entry.since.elapsed() < Lookup::REMEMBERED).then(|| entry.addresses.clone())
    }
}

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::BadUri(uri.to_string()));
        };
        if let Some(addresses) = self.remembered(scheme, authority) {
            return Ok(addresses);
        }
        let addresses = self.asked.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(error) => ureq::Error::Other(LookupFailed { host: authority.host().into(), error }.into()),
            other => other,
        })?;
        if let Ok(mut known) = self.known.write() {
            known.retain(|k| k.scheme != *scheme || k.authority != *authority);
            known.push(Known {
                scheme: scheme.clone(),
                authority: authority.clone(),
                addresses: addresses.clone(),
                since: Instant::now(),
            });
        }
        Ok(addresses)
    }
}

/// A name that could not be looked up.
#[derive(Debug)]
struct LookupFailed {
    host: String,
    error: io::Error,
}

impl std::fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot look up the host {}: {}", self.host, self.error)
    }
}

impl std::error::Error for LookupFailed {}
