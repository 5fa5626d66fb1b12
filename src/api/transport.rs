//! Carries requests to the API and answers back. Only this room names the HTTP client.

mod early;
mod encrypt;
mod gather;
mod idle;
mod inflate;
mod lookup;
mod tls;

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::AlertDescription;
use ureq::config::Config as AgentConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Proxy, ProxyProtocol};

pub use ureq::http;

use self::early::Early;
use self::encrypt::Encrypting;
use self::gather::Gathering;
use self::http::{HeaderName, HeaderValue, Uri, header};
use self::idle::{Idle, NothingCame, Stopping};
use self::inflate::{Plain, Unreadable};
use self::lookup::{Lookup, LookupFailed};
use self::tls::Tls;
use super::reply::Reply;
use super::request::{self, Keep, Request};
use crate::config::Connection;
use crate::error::{Context, Result as OrError};
use crate::exit::Exit;
use crate::interrupt::{self, Interrupt};
use crate::text::secrets::Secrets;

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
    /// The host's name could not be looked up at present.
    Lookup,
    /// No host has that name.
    NoSuchHost,
    /// The encrypted connection could not be made or broke.
    Tls,
    /// What listens there does not speak TLS at all.
    NoTls,
    /// The host's certificate is not to be trusted.
    Certificate,
    /// The host demands a certificate of ours, or another one.
    ClientCertificate,
    /// The limit of time was reached.
    Timeout,
    /// The connection ended before the answer did, or the answer was not HTTP.
    Cut,
    /// The answer is longer than anything that an Ed-Fi API has to say.
    TooLong,
    /// The answer is compressed in a way that nobody asked for and that cannot be read.
    Encoded,
    /// The request itself cannot be sent, such as to a URL without a host.
    Request,
}

impl Broken {
    /// Whether the same request may succeed later. A name that nobody knows is likely misspelt, unless its host was `heard` in this run.
    pub fn retryable(&self, heard: bool) -> bool {
        match self.kind {
            Kind::Connect | Kind::Lookup | Kind::Tls | Kind::Timeout | Kind::Cut => true,
            Kind::NoSuchHost => heard,
            Kind::NoTls | Kind::Certificate | Kind::ClientCertificate => false,
            Kind::TooLong | Kind::Encoded | Kind::Request => false,
        }
    }
}

/// What is to be done about a URL that [`is_exposed`].
pub const EXPOSED: &str =
    "key and token would travel unencrypted to another machine: use https, or set connection.allow_http to true";

/// Two of these a connection; the client's defaults take 16 MB for 64 workers.
const BUFFER: usize = 32 * 1024;

/// The longest answer's head that is read, status and headers. It must leave room in the buffer, or a longer one would not be
/// noticed.
const LONGEST_HEAD: usize = 24 * 1024;

/// The name that ODS/API gives the header unless its host configures another.
const CORRELATION_ID: HeaderName = HeaderName::from_static("correlation-id");

/// How many records there are in all.
const TOTAL_COUNT: HeaderName = HeaderName::from_static("total-count");

/// When a rate limit ends, as the draft of the IETF spells it and as everybody did before.
const LIMIT_RESETS: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-reset"), HeaderName::from_static("x-ratelimit-reset")];

/// Where the next page of records begins.
const NEXT_PAGE_TOKEN: HeaderName = HeaderName::from_static("next-page-token");

/// The real thing: HTTP/1.1 over connections that are kept, one for each worker.
pub struct Http {
    direct: Agent,
    /// Set if there is a proxy; it leads to every host but those on the loopback.
    proxied: Option<Agent>,
    allow_http: bool,
    /// A proxy may repeat what it was sent.
    proxy_password: Secrets,
}

impl Http {
    /// What the configuration describes. Errors (exit 2) are those of files and URLs that cannot be used; what is odd about
    /// the environment goes to `warn`. Requests under way end soon after `interrupt`.
    pub fn new(connection: &Connection, interrupt: &Interrupt, warn: &mut dyn FnMut(String)) -> OrError<Http> {
        let tls = Arc::new(Tls::new(connection)?);
        let limit = Some(connection.timeout);
        let idle = connection.idle_timeout.min(connection.timeout);
        let agent = |proxy| {
            let config = AgentConfig::builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections(connection.pool_size)
                .max_idle_connections_per_host(connection.pool_size)
                .timeout_connect(Some(idle.min(interrupt::GRACE)))
                .timeout_recv_response(limit)
                .timeout_global(limit)
                .input_buffer_size(BUFFER)
                .output_buffer_size(BUFFER)
                .max_response_header_size(LONGEST_HEAD)
                .accept_encoding("identity")
                .user_agent(concat!("lightbeam/", env!("CARGO_PKG_VERSION")))
                .proxy(proxy)
                .build();
            let encrypted =
                ().chain(ConnectProxyConnector::default())
                    .chain(TcpConnector::default())
                    .chain(Early)
                    .chain(Encrypting(tls.clone()));
            Agent::with_parts(
                config,
                encrypted.chain(Gathering(Idle { most: idle, interrupt: interrupt.clone() })),
                Lookup::<DefaultResolver>::default(),
            )
        };
        let proxy = proxy(connection, warn)?;
        let proxy_password = Secrets::of(proxy.as_ref().and_then(|proxy| proxy.password()));
        let proxied = proxy.map(|proxy| agent(Some(proxy)));
        Ok(Http { direct: agent(None), proxied, proxy_password, allow_http: connection.allow_http })
    }

    /// Sends a request that may go out.
    fn run(&self, request: &Request<'_>) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut head = http::Request::builder().method(request.method.clone()).uri(request.url.clone());
        let headers: [(HeaderName, &Option<HeaderValue>); 5] = [
            (header::AUTHORIZATION, &request.authorization),
            (header::CONTENT_TYPE, &request.content_type),
            (header::ACCEPT, &request.accept),
            (header::IF_NONE_MATCH, &request.if_none_match),
            (CORRELATION_ID, &request.correlation),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                head = head.header(name, value);
            }
        }
        let agent = self.proxied.as_ref().filter(|_| !is_loopback(request.url)).unwrap_or(&self.direct);
        match request.body {
            Some(body) => agent.run(head.body(body)?),
            None => agent.run(head.body(())?),
        }
    }
}

/// The proxy of the configuration, else that of the environment, whose `NO_PROXY` holds for it.
fn proxy(connection: &Connection, warn: &mut dyn FnMut(String)) -> OrError<Option<Proxy>> {
    if let Some(url) = &connection.proxy {
        // Neither the URL nor what is wrong with it is shown: it may hold a password.
        let usable = Proxy::new(url.expose()).ok().filter(is_http);
        return usable.map(Some).ok_or("it is no URL of a proxy").or_stop(Exit::Usage, || "connection.proxy".into());
    }
    let found = Proxy::try_from_env();
    if found.as_ref().is_some_and(|proxy| !is_http(proxy)) {
        warn(
            "the environment names a SOCKS proxy (ALL_PROXY), which is not used; connection.proxy names another".into(),
        );
    }
    Ok(found.filter(is_http))
}

fn is_http(proxy: &Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

impl Transport for Http {
    fn call(&self, request: &Request<'_>) -> Answer {
        // Whatever a document or the configuration says, nothing secret goes out in the clear from here.
        if request.authorization.is_some() && is_exposed(request.url) && !self.allow_http {
            return Err(Broken { kind: Kind::Request, text: EXPOSED.into() });
        }
        let mut reply = read(self.run(request).map_err(broken)?, request)?;
        if let Some(credential) = request.authorization.as_ref().filter(|_| !reply.accepted()) {
            reply.hide(&Secrets::of(credential.to_str().ok().map(request::credential)));
        }
        if !reply.accepted() {
            reply.hide(&self.proxy_password);
        }
        Ok(reply)
    }
}

/// Reads an answer to its end, without which its connection is not used again.
fn read(answer: http::Response<ureq::Body>, request: &Request<'_>) -> Answer {
    /// What is read and dropped beyond the part that is kept; for more than that a new connection is cheaper.
    const DROPPED: u64 = 1024 * 1024;
    let (head, body) = answer.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(String::from);
    let mut reply = Reply { status: head.status.as_u16(), ..Reply::default() };
    if request.method == http::Method::GET {
        reply.etag = text(header::ETAG);
        reply.total_count = text(TOTAL_COUNT).and_then(|count| count.trim().parse().ok());
        reply.next_page_token = text(NEXT_PAGE_TOKEN);
    }
    if !reply.accepted() {
        reply.retry_after = text(header::RETRY_AFTER);
        if reply.retry_after.is_some() {
            reply.date = text(header::DATE);
            reply.limit_resets = LIMIT_RESETS.into_iter().filter_map(text).collect();
        }
    }
    let (kept, whole) = match request.keep {
        Keep::Beginning(kept) => (kept, false),
        Keep::Whole(most) => (most, reply.accepted()),
    };
    let mut reader = body.into_reader();
    reader.by_ref().take(kept).read_to_end(&mut reply.body).map_err(|error| broken(error.into()))?;
    let dropped = if whole { 1 } else { DROPPED };
    // What tells who answered; the usual answer to a payload has no body.
    if !reply.body.is_empty() || !reply.accepted() {
        reply.location = text(header::LOCATION);
        reply.content_type = text(header::CONTENT_TYPE);
    }
    let more = io::copy(&mut reader.take(dropped), &mut io::sink()).map_err(|error| broken(error.into()))?;
    let coding = text(header::CONTENT_ENCODING);
    let body = match inflate::read(coding.as_deref(), std::mem::take(&mut reply.body), more > 0, kept) {
        // Such a body does not answer a question. Of a payload the status has said what counts.
        Err(wrong) if whole => return Err(unreadable(&wrong)),
        Err(wrong) => Plain { bytes: wrong.to_string().into_bytes(), more: false },
        Ok(plain) => plain,
    };
    match whole && body.more {
        true => Err(Broken { kind: Kind::TooLong, text: format!("the answer is longer than {kept} bytes") }),
        false => Ok(Reply { body: body.bytes, ..reply }),
    }
}

/// What a compressed body that cannot be read means. One that was damaged on its way may come whole the next time.
fn unreadable(wrong: &Unreadable) -> Broken {
    let kind = match wrong {
        Unreadable::Unknown(_) => Kind::Encoded,
        Unreadable::Damaged(_) => Kind::Cut,
    };
    Broken { kind, text: wrong.to_string() }
}

/// Whether what is sent to this URL travels unencrypted over a network.
pub fn is_exposed(url: &Uri) -> bool {
    url.scheme_str() != Some("https") && !is_loopback(url)
}

/// Whether the host of this URL is this machine, to which no proxy leads.
pub fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Says what an error of the client means.
fn broken(error: ureq::Error) -> Broken {
    use io::ErrorKind as Io;
    let kind = match &error {
        ureq::Error::Timeout(_) => Kind::Timeout,
        ureq::Error::HostNotFound => Kind::Lookup,
        ureq::Error::Other(e) if e.downcast_ref().is_some_and(LookupFailed::is_final) => Kind::NoSuchHost,
        ureq::Error::Other(e) if e.is::<LookupFailed>() => Kind::Lookup,
        ureq::Error::Other(e) if e.is::<NothingCame>() || e.is::<Stopping>() => Kind::Timeout,
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => Kind::Connect,
        ureq::Error::Rustls(e) => encryption(e),
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => Kind::Tls,
        ureq::Error::LargeResponseHeader(..) => Kind::TooLong,
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => Kind::Request,
        ureq::Error::Io(e) => match of_tls(e) {
            Some(inner) => encryption(inner),
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
        (Kind::Timeout, ureq::Error::Other(error)) => error.to_string(),
        (Kind::Timeout, _) => "no answer within the timeout".into(),
        // Without the client's own prefix.
        (_, ureq::Error::Io(error)) => {
            of_tls(&error).and_then(tls::advice).map_or_else(|| error.to_string(), String::from)
        }
        (_, ureq::Error::Rustls(error)) => error.to_string(),
        (_, ureq::Error::Other(error)) => error.to_string(),
        (_, error) => error.to_string(),
    };
    let text = match kind {
        Kind::Certificate => format!("the host's certificate is not to be trusted: {text}"),
        Kind::Tls => format!("the encrypted connection, which https:// needs, broke: {text}"),
        Kind::NoTls => format!("the host does not speak TLS, which https:// needs: {text}"),
        Kind::ClientCertificate => format!("the host does not take our certificate (connection.client_cert): {text}"),
        Kind::TooLong => format!("the head of the answer is longer than {LONGEST_HEAD} bytes"),
        _ => text,
    };
    Broken { kind, text }
}

/// What broke of an encrypted connection, if that broke.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn encryption(error: &rustls::Error) -> Kind {
    use AlertDescription as Alert;
    match error {
        // The first bytes are not TLS, but most likely the answer of a port for plain HTTP.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Kind::NoTls,
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Kind::Certificate,
        // What a host says of our certificate, or of its absence.
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Kind::ClientCertificate,
        _ => Kind::Tls,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::api::request::{KEPT_OF_DATA, bearer};
    use crate::api::testing::connection;

    /// A request for a document of at most a megabyte.
    fn get<'a>(url: &'a Uri, etag: Option<&str>) -> Request<'a> {
        crate::api::request::get(url, etag, 1_000_000)
    }

    fn http(connection: &Connection) -> Http {
        Http::new(connection, &Interrupt::default(), &mut |_| ()).unwrap()
    }

    /// A host on the loopback that hands each connection to `serve`; its URL, but for the scheme.
    fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
        address
    }

    /// Reads one request: its head, in lower case, and its body.
    fn request(stream: &mut impl BufRead) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        Some(head + &String::from_utf8(body).unwrap())
    }

    /// A host that gives every request the same answer, and the requests of each of its connections.
    fn host(answer: String) -> (Uri, Arc<Mutex<Vec<Vec<String>>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let address = listen(move |stream| {
            log.lock().unwrap().push(Vec::new());
            let mut stream = BufReader::new(stream);
            while let Some(request) = request(&mut stream) {
                log.lock().unwrap().last_mut().unwrap().push(request);
                if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        (format!("http://{address}/data").parse().unwrap(), seen)
    }

    /// A payload with a token.
    fn post<'a>(url: &'a Uri, body: &'a [u8]) -> Request<'a> {
        Request { authorization: bearer("t1"), ..crate::api::request::post(url, body, None) }
    }

    #[test]
    fn requests_arrive_as_they_were_made_over_one_connection() {
        let (url, seen) = host("HTTP/1.1 201 Created\r\nLocation: /1\r\nContent-Length: 0\r\n\r\n".into());
        let http = http(&connection());
        for _ in 0..2 {
            let reply = http.call(&post(&url, b"{\"a\":1}")).unwrap();
            assert_eq!(reply, Reply { status: 201, ..Reply::default() });
        }
        http.call(&get(&url, Some("\"7\""))).unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [3], "requests of each connection");
        for part in [
            "post /data http/1.1\r\n",
            "authorization: bearer t1\r\n",
            "content-type: application/json\r\n",
            concat!("user-agent: lightbeam/", env!("CARGO_PKG_VERSION"), "\r\n"),
            "\r\n\r\n{\"a\":1}",
        ] {
            assert!(seen[0][0].contains(part), "{part} is not in {}", seen[0][0]);
        }
        assert!(seen[0][2].contains("if-none-match: \"7\"\r\n"), "{}", seen[0][2]);
    }

    #[test]
    fn head_and_body_travel_together() {
        let together = Arc::new(Mutex::new(Vec::new()));
        let log = together.clone();
        let address = listen(move |mut stream| {
            let mut bytes = [0; 4_096];
            let count = stream.read(&mut bytes).unwrap();
            log.lock().unwrap().push(bytes[..count].ends_with(b"{\"a\":1}"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let url = format!("http://{address}/").parse().unwrap();
        http(&connection()).call(&post(&url, b"{\"a\":1}")).unwrap();
        assert_eq!(*together.lock().unwrap(), [true]);
    }

    #[test]
    fn a_payload_of_20_megabytes_arrives_whole() {
        let (url, seen) = host("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".into());
        let body: String = (0..20_000_000 / 8).map(|n| format!("{n:08}")).collect();
        let reply = http(&connection()).call(&post(&url, body.as_bytes())).unwrap();
        assert_eq!(reply.status, 201);
        assert!(seen.lock().unwrap()[0][0].ends_with(&format!("\r\n\r\n{body}")));
    }

    #[test]
    fn an_answer_is_heard_although_the_host_does_not_take_in_the_request() {
        let body = vec![b' '; 20_000_000];
        let sent_to = |answer: &'static str| {
            let address = listen(move |mut stream| {
                stream.read_exact(&mut [0; 1_000]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let url = format!("http://{address}/").parse().unwrap();
            http(&connection()).call(&post(&url, &body))
        };
        let reply = sent_to("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((reply.status, &reply.body[..]), (413, &b"no"[..]));
        assert_eq!(sent_to("").unwrap_err().kind, Kind::Cut);
        assert_eq!(sent_to("HTTP/1.1 413 Too").unwrap_err().kind, Kind::Cut);
    }

    #[test]
    fn a_connection_that_the_host_has_closed_is_not_used_again() {
        let closed = Arc::new(std::sync::Barrier::new(2));
        let barrier = closed.clone();
        let address = listen(move |stream| {
            let mut stream = BufReader::new(stream);
            request(&mut stream);
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            drop(stream);
            barrier.wait();
        });
        let (http, url) = (http(&connection()), format!("http://{address}/").parse().unwrap());
        for _ in 0..3 {
            assert_eq!(http.call(&get(&url, None)).unwrap().status, 200);
            closed.wait();
        }
    }

    #[test]
    fn answers_are_read_with_what_matters_and_to_their_end() {
        let body = "x".repeat(KEPT_OF_DATA as usize + 1_000);
        let head =
            "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nETag: \"1\"\r\nTotal-Count: 7\r\nNext-Page-Token: abc\r\n";
        let (url, seen) = host(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        let http = http(&connection());
        for _ in 0..2 {
            let reply = http.call(&post(&url, b"{}")).unwrap();
            assert_eq!((reply.status, reply.retry_after.as_deref()), (429, Some("7")));
            assert_eq!(reply.body.len(), KEPT_OF_DATA as usize);
        }
        assert_eq!(seen.lock().unwrap().len(), 1, "connections");
        let reply = http.call(&get(&url, None)).unwrap();
        assert_eq!((reply.etag.as_deref(), reply.body.len()), (Some("\"1\""), body.len()));
        assert_eq!((reply.total_count, reply.next_page_token.as_deref()), (Some(7), Some("abc")));
    }

    #[test]
    fn redirections_are_not_followed() {
        for status in [301, 307] {
            let (url, seen) =
                host(format!("HTTP/1.1 {status} Moved\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nno"));
            let reply = http(&connection()).call(&post(&url, b"{}")).unwrap();
            assert_eq!((reply.status, reply.location.as_deref()), (status, Some("/there")));
            assert_eq!(seen.lock().unwrap()[0].len(), 1);
        }
    }

    /// What breaks when a document is asked for.
    fn breaks(connection: &Connection, url: &str) -> Broken {
        http(connection).call(&get(&url.parse().unwrap(), None)).unwrap_err()
    }

    #[test]
    fn what_broke_is_told_apart() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(breaks(&connection(), &format!("http://{nobody}/")).kind, Kind::Connect);
        let hang_up = listen(drop);
        assert_eq!(breaks(&connection(), &format!("http://{hang_up}/")).kind, Kind::Cut);
        let (torn, _) = host("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf".into());
        let patient = Connection { timeout: Duration::from_millis(100), ..connection() };
        assert_eq!(breaks(&patient, &torn.to_string()).kind, Kind::Timeout, "an answer that never ends");
        let (silent, _) = host(String::new());
        assert_eq!(breaks(&patient, &silent.to_string()).text, "no answer within the timeout");
        let (babble, _) = host("what?\r\n\r\n".into());
        assert_eq!(breaks(&connection(), &babble.to_string()).kind, Kind::Cut);
        assert_eq!(breaks(&connection(), "/no/host").kind, Kind::Request);
        let lookup = breaks(&connection(), "http://a..b/");
        assert_eq!(lookup.kind, Kind::NoSuchHost);
        assert!(lookup.text.starts_with("cannot look up the host a..b: "), "{}", lookup.text);
    }

    #[test]
    fn a_body_that_is_cut_is_not_an_answer() {
        let address = listen(|stream| {
            let mut stream = BufReader::new(stream);
            request(&mut stream);
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
        });
        assert_eq!(breaks(&connection(), &format!("http://{address}/")).kind, Kind::Cut);
    }

    /// A host whose certificate nobody has signed but itself.
    fn self_signed_host() -> String {
        let certificate = include_bytes!("../../fixtures/self-signed-host/certificate.pem");
        let key = include_bytes!("../../fixtures/self-signed-host/key.pem");
        let chain = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap())
            .unwrap();
        let config = Arc::new(config);
        listen(move |stream| {
            let server = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(server, stream));
            if request(&mut stream).is_some() {
                stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        })
    }

    #[test]
    fn an_untrusted_certificate_ends_the_matter_unless_told_otherwise() {
        let url = format!("https://{}/", self_signed_host());
        let broken = breaks(&connection(), &url);
        assert_eq!(broken.kind, Kind::Certificate);
        assert!(broken.text.starts_with("the host's certificate is not to be trusted: "), "{}", broken.text);
        let trusting = Connection { verify_ssl: false, ..connection() };
        assert_eq!(http(&trusting).call(&get(&url.parse().unwrap(), None)).unwrap().status, 200);
    }

    #[test]
    fn a_certificate_of_an_authority_that_a_host_uses_as_its_own_is_trusted_if_ca_file_holds_it() {
        let url = format!("https://{}/", self_signed_host());
        let untrusted = breaks(&connection(), &url).text;
        assert!(untrusted.contains("certificate of an authority") && untrusted.contains("ca_file"), "{untrusted}");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/self-signed-host/certificate.pem");
        let trusting = Connection { ca_file: Some(file.into()), ..connection() };
        assert_eq!(http(&trusting).call(&get(&url.parse().unwrap(), None)).unwrap().status, 200);
    }

    /// A host that sends this body with this coding, whatever it is asked.
    fn coded(status: u16, coding: &str, body: Vec<u8>) -> (Uri, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, coding) = (seen.clone(), coding.to_string());
        let address = listen(move |stream| {
            let mut stream = BufReader::new(stream);
            log.lock().unwrap().push("connection".into());
            while let Some(request) = request(&mut stream) {
                log.lock().unwrap().push(request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n");
                if stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).is_err() {
                    return;
                }
            }
        });
        (format!("http://{address}/data").parse().unwrap(), seen)
    }

    fn deflated(text: &[u8]) -> Vec<u8> {
        miniz_oxide::deflate::compress_to_vec_zlib(text, 6)
    }

    #[test]
    fn an_answer_that_is_compressed_unasked_is_read_and_its_connection_used_again() {
        let (url, seen) = coded(200, "deflate", deflated(b"[{\"id\":\"1\"}]"));
        let http = http(&connection());
        for _ in 0..3 {
            assert_eq!(http.call(&get(&url, None)).unwrap().body, b"[{\"id\":\"1\"}]");
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().filter(|line| *line == "connection").count(), 1);
        assert!(seen[1..].iter().all(|request| request.contains("\r\naccept-encoding: identity\r\n")), "{seen:?}");
    }

    #[test]
    fn what_is_kept_of_a_compressed_answer_counts_when_it_is_inflated() {
        let (url, _) = coded(200, "deflate", deflated(&vec![b'x'; 1_000_001]));
        let long = http(&connection()).call(&get(&url, None)).unwrap_err();
        assert_eq!((long.kind, &long.text[..]), (Kind::TooLong, "the answer is longer than 1000000 bytes"));
        let (url, _) = coded(400, "deflate", deflated(&vec![b'x'; 1_000_001]));
        let reply = http(&connection()).call(&post(&url, b"{}")).unwrap();
        assert_eq!((reply.status, reply.body.len() as u64), (400, KEPT_OF_DATA));
    }

    #[test]
    fn a_compressed_answer_that_cannot_be_read_is_an_error_with_its_reason_and_of_a_payload_the_status_counts() {
        for (coding, body, kind, told) in [
            ("br", b"\x0b\x02\x80".to_vec(), Kind::Encoded, "compressed as br, "),
            ("zstd", b"\x28\xb5\x2f\xfd".to_vec(), Kind::Encoded, "compressed as zstd, "),
            ("deflate", deflated(b"a text")[..6].to_vec(), Kind::Cut, "ends too early"),
            ("gzip", b"{}".to_vec(), Kind::Cut, "does not begin as gzip"),
        ] {
            let (url, _) = coded(200, coding, body.clone());
            let broken = http(&connection()).call(&get(&url, None)).unwrap_err();
            assert_eq!((broken.kind, broken.text.contains(told)), (kind, true), "{coding}: {}", broken.text);
            assert_eq!(broken.retryable(true), kind == Kind::Cut, "{coding}");
            let (url, _) = coded(400, coding, body);
            let reply = http(&connection()).call(&post(&url, b"{}")).unwrap();
            let said = crate::api::reply::refusal(&reply).text();
            assert_eq!((reply.status, said.contains(told)), (400, true), "{coding}: {said}");
        }
    }

    #[test]
    fn a_connection_on_which_nothing_comes_is_given_up_long_before_the_limit_of_the_request() {
        let timeout = Duration::from_secs(100_000);
        let patient = Connection { timeout, idle_timeout: Duration::from_millis(50), ..connection() };
        let (silent, _) = host(String::new());
        let broken = breaks(&patient, &silent.to_string());
        assert_eq!((broken.kind, broken.retryable(true)), (Kind::Timeout, true));
        assert_eq!(broken.text, "nothing came over the connection for 0.05 s (connection.idle_timeout)");
        let (half, _) = host("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into());
        assert!(breaks(&patient, &half.to_string()).text.contains("connection.idle_timeout"));
        let held = Mutex::new(Vec::new());
        let deaf = listen(move |stream| held.lock().unwrap().push(stream));
        let handshake = breaks(&patient, &format!("https://{deaf}/"));
        assert_eq!(handshake.kind, Kind::Timeout, "{}", handshake.text);
    }

    #[test]
    fn a_host_that_does_not_speak_tls_is_told_apart() {
        let address = listen(|stream| {
            let mut stream = BufReader::new(stream);
            let _ = stream.fill_buf();
            stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        assert_eq!(breaks(&connection(), &format!("https://{address}/")).kind, Kind::NoTls);
    }

    #[test]
    fn a_credential_is_not_sent_unencrypted_to_another_machine_unless_that_is_allowed() {
        let url = Uri::from_static("http://credentials.invalid/");
        let call = |allow_http| {
            let http = http(&Connection { allow_http, ..connection() });
            http.call(&post(&url, b"{}")).unwrap_err()
        };
        assert_eq!(call(false), Broken { kind: Kind::Request, text: EXPOSED.into() });
        assert_eq!(call(true).kind, Kind::NoSuchHost);
        let anonymous = http(&connection()).call(&get(&url, None)).unwrap_err();
        assert_eq!(anonymous.kind, Kind::NoSuchHost);
    }

    #[test]
    fn no_proxy_leads_to_the_loopback() {
        for (url, loopback) in [
            ("http://localhost:8080/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:80/", true),
            ("https://example.com/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Uri::from_static(url)), loopback, "{url}");
        }
    }
}
