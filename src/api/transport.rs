//! Carries requests to the API and answers back. Only this room names the HTTP client.

mod gather;
mod lookup;

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use ureq::config::Config as AgentConfig;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Proxy};

pub use ureq::http;

use self::gather::Gathering;
use self::http::{HeaderName, HeaderValue, Uri, header};
use self::lookup::{Lookup, LookupFailed};
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
        Http { agent: Agent::with_parts(config, DefaultConnector::default().chain(Gathering), Lookup::default()) }
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
        (_, ureq::Error::Other(error)) => error.to_string(),
        (_, error) => error.to_string(),
    };
    let text = match kind {
        Kind::Certificate => format!("the host's certificate is not to be trusted: {text}"),
        Kind::Tls => format!("the host does not speak TLS, which https:// needs: {text}"),
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::api::request::{KEPT_OF_DATA, bearer, get, post};

    fn connection() -> Connection {
        Connection {
            pool_size: 8,
            adaptive: true,
            rate: None,
            timeout: Duration::from_secs(60),
            num_retries: 0,
            backoff_factor: 1.0,
            retry_statuses: Vec::new(),
            verify_ssl: true,
        }
    }

    fn http(connection: &Connection) -> Http {
        Http::new(connection, &Uri::from_static("http://127.0.0.1"))
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

    #[test]
    fn requests_arrive_as_they_were_made_over_one_connection() {
        let (url, seen) = host("HTTP/1.1 201 Created\r\nLocation: /1\r\nContent-Length: 0\r\n\r\n".into());
        let http = http(&connection());
        for _ in 0..2 {
            let reply = http.call(&post(&url, &bearer("t1").unwrap(), b"{\"a\":1}")).unwrap();
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
        http(&connection()).call(&post(&url, &bearer("t1").unwrap(), b"{\"a\":1}")).unwrap();
        assert_eq!(*together.lock().unwrap(), [true]);
    }

    #[test]
    fn a_payload_of_20_megabytes_arrives_whole() {
        let (url, seen) = host("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".into());
        let body: String = (0..20_000_000 / 8).map(|n| format!("{n:08}")).collect();
        let reply = http(&connection()).call(&post(&url, &bearer("t1").unwrap(), body.as_bytes())).unwrap();
        assert_eq!(reply.status, 201);
        assert!(seen.lock().unwrap()[0][0].ends_with(&format!("\r\n\r\n{body}")));
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
        let head = "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nETag: \"1\"\r\n";
        let (url, seen) = host(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        let http = http(&connection());
        for _ in 0..2 {
            let reply = http.call(&post(&url, &bearer("t1").unwrap(), b"{}")).unwrap();
            assert_eq!((reply.status, reply.retry_after.as_deref()), (429, Some("7")));
            assert_eq!(reply.body.len(), KEPT_OF_DATA as usize);
        }
        assert_eq!(seen.lock().unwrap().len(), 1, "connections");
        let reply = http.call(&get(&url, None)).unwrap();
        assert_eq!((reply.etag.as_deref(), reply.body.len()), (Some("\"1\""), body.len()));
    }

    #[test]
    fn redirections_are_not_followed() {
        for status in [301, 307] {
            let (url, seen) =
                host(format!("HTTP/1.1 {status} Moved\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nno"));
            let reply = http(&connection()).call(&post(&url, &bearer("t1").unwrap(), b"{}")).unwrap();
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
        assert_eq!(lookup.kind, Kind::Lookup);
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
    fn a_host_that_does_not_speak_tls_is_told_apart() {
        let address = listen(|stream| {
            let mut stream = BufReader::new(stream);
            let _ = stream.fill_buf();
            stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        assert_eq!(breaks(&connection(), &format!("https://{address}/")).kind, Kind::Tls);
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
