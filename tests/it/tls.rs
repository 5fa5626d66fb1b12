//! Real TLS with certificates made on the spot: a terminator before the sandbox, and what lightbeam says of certificates that are
//! no good.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use lightbeam::sandbox::{Options, Sandbox, start};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;

use crate::host::{Silent, message};
use crate::support::{Ended, Folder, students};

/// An authority that nobody knows.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: rcgen::Certificate,
}

/// A certificate in PEM, and its key.
pub struct Signed {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        change(&mut params);
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// Certificate and key for the sandbox's address.
    pub fn good(&self) -> Signed {
        self.sign("127.0.0.1", |_| ())
    }
}

/// A sandbox behind TLS, and a folder with data and the authority's certificate.
struct Stage {
    folder: Folder,
    sandbox: Sandbox,
    address: String,
}

impl Stage {
    /// `clients`: whose certificates are demanded, if any.
    fn new(authority: &Authority, server: Signed, clients: Option<&Authority>) -> Stage {
        let sandbox = start(Options { record: true, ..Options::default() }).unwrap();
        let provider = Arc::new(default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
                config.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_slice(server.key.serialize_pem().as_bytes()).unwrap();
        let config = config.with_single_cert(vec![server.certificate.der().clone()], key).unwrap();
        let address = terminate(Arc::new(config), sandbox.url().trim_start_matches("http://").to_string());
        let folder = Folder::new();
        folder.data("students.jsonl", &students(20));
        folder.write("ca.pem", authority.certificate.pem());
        let stage = Stage { folder, sandbox, address };
        stage.connection("");
        stage
    }

    /// Sets keys of `connection`, besides few retries.
    fn connection(&self, keys: &str) {
        let url = format!("https://{}", self.address);
        self.folder.config(&url, &format!("connection:\n  num_retries: 1\n{keys}"));
    }

    fn send(&self) -> Ended {
        self.folder.run(&["send"])
    }

    /// Fails unless the run ended early with this said and the sandbox heard nothing.
    #[track_caller]
    fn refuses(&self, said: &str) {
        let ended = self.send().expect(4);
        assert!(ended.err.contains(said), "{said} is not in {}", ended.err);
        assert!(ended.err.contains(&format!("https://{}", self.address)), "{}", ended.err);
        assert!(self.sandbox.received().is_empty());
    }
}

/// Speaks TLS with whoever comes and plain HTTP with `to`; returns where.
fn terminate(config: Arc<rustls::ServerConfig>, to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (config, to) = (config.clone(), to.clone());
            std::thread::spawn(move || {
                let mut host = BufReader::new(TcpStream::connect(to)?);
                let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
                let mut client = BufReader::new(rustls::StreamOwned::new(session, client));
                let end = pass(&mut client, &mut host);
                // What the client has sent is read first, or it would never see the alert that says what is wrong.
                let socket = &mut client.get_mut().sock;
                socket.shutdown(Shutdown::Write)?;
                io::copy(socket, &mut io::sink())?;
                end
            });
        }
    });
    address
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

/// Passes requests on and answers back, until either side has no more.
fn pass(client: &mut BufReader<Tls>, host: &mut BufReader<TcpStream>) -> io::Result<()> {
    loop {
        let (head, body) = message(client)?;
        host.get_mut().write_all(&[head.as_bytes(), &body].concat())?;
        let (head, body) = message(host)?;
        client.get_mut().write_all(&[head.as_bytes(), &body].concat())?;
    }
}

#[test]
fn a_private_authority_is_trusted_once_it_is_named() {
    let authority = Authority::new("district");
    let stage = Stage::new(&authority, authority.good(), None);
    stage.refuses("UnknownIssuer");
    stage.connection("  ca_file: ca.pem\n");
    stage.send().expect(0);
    assert_eq!(stage.sandbox.received().len(), 20);
}

#[test]
fn an_expired_certificate_ends_the_run() {
    let authority = Authority::new("district");
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let stage = Stage::new(&authority, authority.sign("127.0.0.1", expired), None);
    stage.connection("  ca_file: ca.pem\n");
    stage.refuses("expired");
}

#[test]
fn a_certificate_of_another_name_ends_the_run() {
    let authority = Authority::new("district");
    let stage = Stage::new(&authority, authority.sign("other.example.com", |_| ()), None);
    stage.connection("  ca_file: ca.pem\n");
    stage.refuses("not valid for name");
}

#[test]
fn an_authority_of_the_same_making_is_still_another_one() {
    let authority = Authority::new("district");
    let stage = Stage::new(&Authority::new("district"), authority.good(), None);
    stage.connection("  ca_file: ca.pem\n");
    stage.refuses("the host's certificate is not to be trusted");
}

#[test]
fn a_host_that_demands_a_certificate_gets_ours() {
    let (authority, clients) = (Authority::new("district"), Authority::new("clients"));
    let stage = Stage::new(&authority, authority.good(), Some(&clients));
    stage.connection("  ca_file: ca.pem\n");
    stage.refuses("connection.client_cert");

    let write = |name: &str, signed: &Signed| {
        stage.folder.write(&format!("{name}.pem"), signed.certificate.pem());
        stage.folder.write(&format!("{name}.key"), signed.key.serialize_pem());
    };
    write("stranger", &Authority::new("strangers").sign("me", |_| ()));
    stage.connection("  ca_file: ca.pem\n  client_cert: stranger.pem\n  client_key: stranger.key\n");
    stage.refuses("connection.client_cert");

    write("me", &clients.sign("me", |_| ()));
    stage.connection("  ca_file: ca.pem\n  client_cert: me.pem\n  client_key: stranger.key\n");
    let mismatch = stage.send().expect(2);
    assert!(mismatch.err.contains("connection.client_key: stranger.key is not the key of"), "{}", mismatch.err);

    stage.connection("  ca_file: ca.pem\n  client_cert: me.pem\n  client_key: me.key\n");
    stage.send().expect(0);
    assert_eq!(stage.sandbox.received().len(), 20);
}

#[test]
fn unverified_certificates_are_warned_about_in_every_run() {
    let authority = Authority::new("district");
    let stage = Stage::new(&authority, authority.good(), None);
    stage.connection("  verify_ssl: false\n");
    for code in [0, 99] {
        let ended = stage.send().expect(code);
        assert_eq!(ended.err.matches("WARNING certificates are not verified").count(), 1, "{}", ended.err);
    }
    stage.connection("  ca_file: ca.pem\n");
    assert!(!stage.send().expect(99).err.contains("not verified"));
}

#[test]
fn a_failure_of_tls_is_never_answered_by_plain_http() {
    let (listener, folder) = (Silent::new(), Folder::new());
    folder.data("students.jsonl", &students(1));
    folder.config(&format!("https://{}", listener.address), "connection:\n  num_retries: 1\n  backoff_factor: 1\n");
    let ended = folder.run(&["send"]).expect(4);
    assert!(ended.err.contains(&format!("https://{}", listener.address)), "{}", ended.err);
    let heard = listener.heard();
    // A TLS record that holds a handshake (RFC 8446 section 5.1).
    assert_eq!(heard[0], 22);
    assert!(!heard.windows(5).any(|bytes| bytes == b"HTTP/"));
}

#[test]
fn a_file_of_certificates_that_cannot_be_used_is_named_before_anything_is_sent() {
    let authority = Authority::new("district");
    let stage = Stage::new(&authority, authority.good(), None);
    stage.connection("  ca_file: lightbeam.yaml\n");
    let ended = stage.send().expect(2);
    assert!(ended.err.contains("connection.ca_file: lightbeam.yaml holds no certificate"), "{}", ended.err);
}
